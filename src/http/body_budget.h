// The memory that request bodies may take together, over all connections of a server. What a body takes
// is on a lease that goes with it: from its first byte, while it is read and while the request waits for
// its handler, until the handler drops it.
//
// Threads: leases of one budget may be used from different threads, each from one at a time.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

namespace dray::http {

// Bodies up to this size are small. A budget can keep room for them that large ones may not take.
inline constexpr uint64_t kMaxSmallBodyBytes = uint64_t{64} << 10;

class BodyBudget {
 public:
  // Of `max_bytes`, the last `small_only_bytes` are for small bodies.
  explicit BodyBudget(uint64_t max_bytes, uint64_t small_only_bytes = 0)
      : max_bytes_(max_bytes),
        max_large_bytes_(max_bytes - std::min(max_bytes, small_only_bytes)) {}
  BodyBudget(const BodyBudget&) = delete;
  BodyBudget& operator=(const BodyBudget&) = delete;

  uint64_t max_bytes() const { return max_bytes_; }
  uint64_t used_bytes() const { return used_bytes_; }
  // Up to which sum a lease of `bytes` is granted.
  uint64_t LimitFor(uint64_t bytes) const {
    return bytes <= kMaxSmallBodyBytes ? max_bytes_ : max_large_bytes_;
  }

 private:
  friend class BodyLease;
  const uint64_t max_bytes_;
  const uint64_t max_large_bytes_;
  std::atomic<uint64_t> used_bytes_{0};
};

// A part of a budget; given back when it ends. Movable.
class BodyLease {
 public:
  // Without a budget, any size is granted.
  BodyLease() = default;
  explicit BodyLease(std::shared_ptr<BodyBudget> budget) : budget_(std::move(budget)) {}
  BodyLease(BodyLease&& other) noexcept;
  BodyLease& operator=(BodyLease&& other) noexcept;
  BodyLease(const BodyLease&) = delete;
  BodyLease& operator=(const BodyLease&) = delete;
  ~BodyLease();

  // False, and nothing has changed, if the budget has no room for so much in place of what it was.
  bool Resize(uint64_t bytes);

 private:
  std::shared_ptr<BodyBudget> budget_;
  uint64_t bytes_ = 0;
};

}  // namespace dray::http
