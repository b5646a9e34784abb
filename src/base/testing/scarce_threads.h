// For tests of what happens when the system gives no more threads.
#pragma once

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstddef>
#include <fstream>

namespace dray {

// While it lives, the process can start about `count` more threads: each would have a stack of 1 GiB, and the process
// may map no more than so many of them.
class ScarceThreads {
 public:
  explicit ScarceThreads(int count) {
    ::pthread_getattr_default_np(&attributes_);
    ::getrlimit(RLIMIT_AS, &limit_);
    pthread_attr_t large;
    ::pthread_attr_init(&large);
    ::pthread_attr_setstacksize(&large, kStackBytes);
    ::pthread_setattr_default_np(&large);
    ::pthread_attr_destroy(&large);
    size_t mapped_pages = 0;
    std::ifstream("/proc/self/statm") >> mapped_pages;
    rlimit tight = limit_;
    tight.rlim_cur = mapped_pages * static_cast<size_t>(::getpagesize()) +
                     static_cast<size_t>(count) * kStackBytes + kStackBytes / 2;
    ::setrlimit(RLIMIT_AS, &tight);
  }
  ~ScarceThreads() {
    ::setrlimit(RLIMIT_AS, &limit_);
    ::pthread_setattr_default_np(&attributes_);
    ::pthread_attr_destroy(&attributes_);
  }
  ScarceThreads(const ScarceThreads&) = delete;
  ScarceThreads& operator=(const ScarceThreads&) = delete;

 private:
  static constexpr size_t kStackBytes = size_t{1} << 30;
  pthread_attr_t attributes_;
  rlimit limit_{};
};

}  // namespace dray
