#include "base/threads/helper_slot.h"

#include "base/threads/worker_set.h"

namespace dray {

bool HelperSlot::Help() {
  // A look that does not take the cache line from the thread that works.
  if (state_.load(std::memory_order_relaxed) != kOpen) return false;
  uint32_t expected = kOpen;
  if (!state_.compare_exchange_strong(expected, kTaken, std::memory_order_acquire,
                                      std::memory_order_relaxed)) {
    return false;
  }
  work_(context_);
  state_.store(kClosed, std::memory_order_release);
  state_.notify_one();
  return true;
}

void HelperSlot::Open(void (*work)(const void* context), const void* context) {
  work_ = work;
  context_ = context;
  state_.store(kOpen, std::memory_order_release);
}

void HelperSlot::Close() {
  uint32_t expected = kOpen;
  // What the helper wrote is visible after it has closed the slot.
  if (state_.compare_exchange_strong(expected, kClosed, std::memory_order_acquire,
                                     std::memory_order_acquire)) {
    return;
  }
  if (expected == kTaken) WaitForChange(state_, kTaken);
}

}  // namespace dray
