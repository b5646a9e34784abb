// A fixed team of threads that runs one parallel region at a time: the caller is member 0, the
// others wait, first spinning briefly (operations of one model step follow each other within
// microseconds), then asleep. Threads are pinned to the processors that the process may use.
//
// Threads: Run may be called from one thread at a time; a region must not call Run again.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

namespace dray {

class ThreadPool {
 public:
  // `num_threads` >= 1, the caller counted; 0 means UsableCpuCount().
  explicit ThreadPool(int num_threads = 0);
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  ~ThreadPool();

  int num_threads() const { return num_threads_; }

  // Calls body(thread_idx) once on every thread, 0 <= thread_idx < num_threads(), and waits for
  // all. Allocates nothing.
  template <typename Body>
  void Run(const Body& body) {
    RunErased([](const void* context,
                 int thread_idx) { (*static_cast<const Body*>(context))(thread_idx); },
              &body);
  }

  // Inside Run: waits until every thread has arrived. All of them must call it equally often.
  void Barrier();

  // The half-open part [begin, end) of `count` items that belongs to `thread_idx`, contiguous and
  // as even as can be.
  std::pair<int64_t, int64_t> Share(int64_t count, int thread_idx) const {
    return {count * thread_idx / num_threads_, count * (thread_idx + 1) / num_threads_};
  }

 private:
  using Region = void (*)(const void* context, int thread_idx);
  void RunErased(Region region, const void* context);

  struct State;
  int num_threads_;
  std::unique_ptr<State> state_;
};

}  // namespace dray
