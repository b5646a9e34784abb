// Threads that help their caller with one task and end with it.
#pragma once

#include <cstddef>
#include <functional>
#include <string_view>
#include <thread>
#include <vector>

#include "base/status.h"

namespace dray {

// Threads: one caller. Owns the threads that it has started.
class HelperThreads {
 public:
  HelperThreads() = default;
  HelperThreads(const HelperThreads&) = delete;
  HelperThreads& operator=(const HelperThreads&) = delete;
  ~HelperThreads() { Join(); }

  // Starts a thread that runs `body`, on any of `cpus`; if there are none, where the caller may run.
  // kResourceExhausted, naming the task, if the system gives no more threads. The threads that were started before
  // go on; the caller must make them end.
  Status Start(std::string_view task, std::function<void()> body,
               const std::vector<int>& cpus = {});
  // Threads that were started since the last Join.
  size_t size() const { return threads_.size(); }
  // Waits until all threads have ended.
  void Join();

 private:
  std::vector<std::thread> threads_;
};

}  // namespace dray
