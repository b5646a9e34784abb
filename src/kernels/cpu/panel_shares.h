// Panels of one Linear call, handed out while threads work: each thread owns a contiguous share and
// takes it from the front; who is done takes from the back of another's share. On a machine that
// others use too, one processor is often slower than the next. A panel is never split, so results
// do not depend on who computes it.
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

  // Before the threads start. num_threads is at most max_threads, 0 <= panels < 2^32.
  void Reset(int64_t panels, int num_threads) {
    num_threads_ = num_threads;
    for (int t = 0; t < num_threads; ++t) {
      shares_[static_cast<size_t>(t)].left.store(
          Pack(panels * t / num_threads, panels * (t + 1) / num_threads),
          std::memory_order_relaxed);
    }
  }

  // The panels that the thread computes next; empty once none is left.
  Range Take(int thread_idx) {
    for (int i = 0; i < num_threads_; ++i) {
      Share& share = shares_[static_cast<size_t>((thread_idx + i) % num_threads_)];
      const Range taken = TakeFrom(share, i == 0 ? Side::kFront : Side::kBack);
      if (taken.begin < taken.end) return taken;
    }
    return {};
  }

 private:
  enum class Side : uint8_t { kFront, kBack };
  // On a cache line of its own: first panel in the low half, end in the high half.
  struct alignas(64) Share {
    std::atomic<uint64_t> left{0};
  };

  static uint64_t Pack(int64_t begin, int64_t end) {
    return static_cast<uint64_t>(end) << 32 | static_cast<uint64_t>(begin);
  }

  // Half of what is left from the front, as within such a part each panel fetches the next; one
  // panel from the back.
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
