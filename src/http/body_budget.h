// The memory that request bodies may take together, over all connections of a server. What a body takes
// is on a lease that goes with it: from its first byte, while it is read and while the request waits for
// its handler, until the handler drops it.
//
// Threads: leases of one budget may be used from different threads, each from one at a time.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

namespace dray::http {

class BodyBudget {
 public:
  explicit BodyBudget(uint64_t max_bytes) : max_bytes_(max_bytes) {}
  BodyBudget(const BodyBudget&) = delete;
  BodyBudget& operator=(const BodyBudget&) = delete;

  uint64_t max_bytes() const { return max_bytes_; }
  uint64_t used_bytes() const { return used_bytes_; }

 private:
  friend class BodyLease;
  const uint64_t max_bytes_;
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
