// What the parts of the processors' backend share: the instruction set, the threads, and the first
// error of an operation.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include "base/status.h"
#include "base/threads/thread_pool.h"
#include "kernels/cpu/isa_kernels.h"

namespace dray::kernels {

class CpuTeam {
 public:
  CpuTeam(const IsaKernels& isa, std::unique_ptr<ThreadPool> pool)
      : isa_(isa), pool_(std::move(pool)) {}

  const IsaKernels& isa() const { return isa_; }
  ThreadPool& pool() { return *pool_; }

  // Records why an operation did nothing, unless an earlier one has failed already.
  void Fail(Status status) {
    if (failure_.ok()) failure_ = std::move(status);
  }
  const Status& failure() const { return failure_; }
  Status TakeFailure() { return std::exchange(failure_, OkStatus()); }

  // Calls body(Range) for parts of `count` items on all threads, or once on this one if the work,
  // which touches `bytes` bytes in all, is too little to be worth waking the others.
  template <typename Body>
  void Split(int64_t count, int64_t bytes, const Body& body);
  // Does the same with parts that the threads take one after the other, so that none waits long for one that must first
  // get new memory from the system or whose processor does something else.
  template <typename Body>
  void Distribute(int64_t count, int64_t bytes, const Body& body);

 private:
  const IsaKernels& isa_;
  std::unique_ptr<ThreadPool> pool_;
  Status failure_;
};

template <typename Body>
void CpuTeam::Split(int64_t count, int64_t bytes, const Body& body) {
  // To start and join the threads costs a microsecond or two, in which one thread touches some tens
  // of KiB of cache.
  constexpr int64_t kWorthWaking = 64 << 10;
  if (count <= 1 || bytes < kWorthWaking) {
    if (count > 0) body(Range{0, count});
    return;
  }
  pool_->Run([&](int thread_idx) {
    const auto [begin, end] = pool_->Share(count, thread_idx);
    if (begin < end) body(Range{begin, end});
  });
}

template <typename Body>
void CpuTeam::Distribute(int64_t count, int64_t bytes, const Body& body) {
  constexpr int64_t kPartsOfThread = 8;
  const int64_t part = std::max<int64_t>(1, count / (pool_->num_threads() * kPartsOfThread));
  std::atomic<int64_t> next{0};
  Split(pool_->num_threads(), bytes, [&](Range) {
    for (int64_t begin; (begin = next.fetch_add(part)) < count;) {
      body(Range{begin, std::min(begin + part, count)});
    }
  });
}

}  // namespace dray::kernels
