#include "base/thread_pool.h"

#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "base/check.h"
#include "base/cpu_info.h"

namespace dray {
namespace {

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// How long a waiting thread spins before it sleeps. Operations of one step follow each other within
// some tens of microseconds; waking a sleeping thread costs about 50.
constexpr auto kSpin = std::chrono::microseconds(200);

// Waits until `word` differs from `old`: spins for kSpin, then sleeps on the word's futex.
void WaitForChange(const std::atomic<uint32_t>& word, uint32_t old) {
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; word.load(std::memory_order_acquire) == old; ++i) {
    Pause();
    // Reading the clock costs tens of nanoseconds, so it is asked once in 64 pauses.
    if (i % 64 == 63 && std::chrono::steady_clock::now() - start > kSpin) {
      while (word.load(std::memory_order_acquire) == old) word.wait(old, std::memory_order_acquire);
      return;
    }
  }
}

void PinTo(std::thread& thread, int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  pthread_setaffinity_np(thread.native_handle(), sizeof(set),
                         &set);  // advice: a failure does no harm
}

}  // namespace

struct ThreadPool::State {
  // Each on a cache line of its own: the workers spin on `epoch` while others count down `pending`.
  alignas(64) std::atomic<uint32_t> epoch{0};
  alignas(64) std::atomic<uint32_t> pending{0};
  alignas(64) std::atomic<uint32_t> barrier_count{0};
  alignas(64) std::atomic<uint32_t> barrier_phase{0};
  Region region = nullptr;
  const void* context = nullptr;
  bool stop = false;
  std::vector<std::thread> workers;
};

ThreadPool::ThreadPool(int num_threads)
    : num_threads_(num_threads > 0 ? num_threads : UsableCpuCount()),
      state_(std::make_unique<State>()) {
  const std::vector<int> cpus = AllowedCpus();
  for (int i = 1; i < num_threads_; ++i) {
    state_->workers.emplace_back([this, i] {
      uint32_t seen = 0;
      for (;;) {
        WaitForChange(state_->epoch, seen);
        ++seen;
        if (state_->stop) return;
        state_->region(state_->context, i);
        if (state_->pending.fetch_sub(1, std::memory_order_acq_rel) == 1)
          state_->pending.notify_one();
      }
    });
    if (num_threads_ <= static_cast<int>(cpus.size())) PinTo(state_->workers.back(), cpus[i]);
  }
}

ThreadPool::~ThreadPool() {
  state_->stop = true;
  state_->epoch.fetch_add(1, std::memory_order_release);
  state_->epoch.notify_all();
  for (std::thread& worker : state_->workers) worker.join();
}

void ThreadPool::RunErased(Region region, const void* context) {
  if (num_threads_ == 1) return region(context, 0);
  DRAY_DCHECK(state_->pending.load() == 0);
  state_->region = region;
  state_->context = context;
  state_->pending.store(static_cast<uint32_t>(num_threads_ - 1), std::memory_order_relaxed);
  state_->epoch.fetch_add(1, std::memory_order_release);
  state_->epoch.notify_all();
  region(context, 0);
  for (uint32_t left; (left = state_->pending.load(std::memory_order_acquire)) != 0;) {
    WaitForChange(state_->pending, left);
  }
}

void ThreadPool::Barrier() {
  if (num_threads_ == 1) return;
  const uint32_t phase = state_->barrier_phase.load(std::memory_order_acquire);
  if (state_->barrier_count.fetch_add(1, std::memory_order_acq_rel) + 1 ==
      static_cast<uint32_t>(num_threads_)) {
    state_->barrier_count.store(0, std::memory_order_relaxed);
    state_->barrier_phase.fetch_add(1, std::memory_order_release);
    state_->barrier_phase.notify_all();
    return;
  }
  WaitForChange(state_->barrier_phase, phase);
}

}  // namespace dray
