// Distributes the panels of one Linear call among threads while they work. Each thread has a
// contiguous share and takes panels from its front. A thread whose share is empty takes panels from
// the back of another thread's share, because one processor is often slower than another on a
// machine that other programs use too. A panel is never split, so the results do not depend on the
// thread that computes it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "kernels/cpu/isa_kernels.h"

namespace dray::kernels {

class PanelShares {
 public:
  explicit PanelShares(int max_threads)
      : shares_(std::make_unique<Share[]>(static_cast<size_t>(max_threads))) {}

  // Divides [0, panels) among num_threads threads, at most max_threads; panels < 2^32. Must be
  // called before the threads start.
  void Reset(int64_t panels, int num_threads) {
    num_threads_ = num_threads;
    for (int t = 0; t < num_threads; ++t) {
      shares_[static_cast<size_t>(t)].left.store(
          Pack(panels * t / num_threads, panels * (t + 1) / num_threads),
          std::memory_order_relaxed);
    }
  }

  // Takes the panels that the thread computes next. Returns an empty range if none is left. A thread
  // whose number is num_threads or more has no share of its own.
  Range Take(int thread_idx) {
    for (int i = 0; i < num_threads_; ++i) {
      Share& share = shares_[static_cast<size_t>((thread_idx + i) % num_threads_)];
      const bool is_own = i == 0 && thread_idx < num_threads_;
      const Range taken = TakeFrom(share, is_own ? Side::kFront : Side::kBack);
      if (taken.begin < taken.end) return taken;
    }
    return {};
  }

 private:
  enum class Side : uint8_t { kFront, kBack };
  // The panels that are left: the first in the low half, the end in the high half. Each share has a
  // cache line of its own.
  struct alignas(64) Share {
    std::atomic<uint64_t> left{0};
  };

  static uint64_t Pack(int64_t begin, int64_t end) {
    return static_cast<uint64_t>(end) << 32 | static_cast<uint64_t>(begin);
  }

  // Takes half of the panels that are left from the front, because each panel of such a range
  // prefetches the next one; takes one panel from the back.
  static Range TakeFrom(Share& share, Side side) {
    uint64_t left = share.left.load(std::memory_order_relaxed);
    for (;;) {
      const auto begin = static_cast<int64_t>(left & 0xFFFFFFFF);
      const auto end = static_cast<int64_t>(left >> 32);
      if (begin >= end) return {};
      const int64_t count = side == Side::kFront ? (end - begin + 1) / 2 : 1;
      const Range taken =
          side == Side::kFront ? Range{begin, begin + count} : Range{end - count, end};
      const uint64_t rest = side == Side::kFront ? Pack(taken.end, end) : Pack(begin, taken.begin);
      if (share.left.compare_exchange_weak(left, rest, std::memory_order_relaxed)) return taken;
    }
  }

  int num_threads_ = 0;
  std::unique_ptr<Share[]> shares_;
};

}  // namespace dray::kernels
