// What the parts of the processors' backend share: the instruction set, the threads, and the first
// error of an operation.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "base/status.h"
#include "base/threads/thread_pool.h"
#include "kernels/cpu/isa_kernels.h"
#include "kernels/cpu/panel_shares.h"

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
  // Does the same with parts that the threads take one after the other, each from the front of its share of the items
  // until nothing is left there, then from the back of another thread's share. So no thread waits long for one that must
  // first get new memory from the system or whose processor does something else. Items next to each other may lie in one
  // huge page of new memory. Two threads that write to such a page at the same time would both have the system clear a
  // page, so threads do not take such items in turn.
  template <typename Body>
  void Distribute(int64_t count, int64_t bytes, const Body& body);

 private:
  const IsaKernels& isa_;
  std::unique_ptr<ThreadPool> pool_;
  PanelShares shares_{pool_->max_threads()};  // of Distribute
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
  const int num_threads = pool_->num_threads();
  shares_.Reset(count, num_threads);
  Split(num_threads, bytes, [&](Range threads) {
    for (auto t = static_cast<int>(threads.begin); t < threads.end; ++t) {
      for (Range part = shares_.Take(t); part.begin < part.end; part = shares_.Take(t)) body(part);
    }
  });
}

}  // namespace dray::kernels
