#include "serving/workers/memory_budget.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "base/human.h"

namespace dray::serving {

MemoryBudget::Lease& MemoryBudget::Lease::operator=(Lease&& other) noexcept {
  Return();
  state_ = std::move(other.state_);
  bytes_ = other.bytes_;
  return *this;
}

void MemoryBudget::Lease::Resize(int64_t bytes) {
  const std::lock_guard lock(state_->mutex);
  state_->taken_bytes += bytes - bytes_;
  bytes_ = bytes;
}

MemoryBudget::Lease MemoryBudget::Lease::Split(int64_t bytes) {
  DRAY_CHECK(bytes <= bytes_);
  bytes_ -= bytes;
  return {state_, bytes};
}

void MemoryBudget::Lease::Return() {
  if (state_ == nullptr) return;
  Resize(0);
  state_.reset();
}

MemoryBudget::MemoryBudget(std::function<int64_t()> free_bytes)
    : state_(std::make_shared<State>()) {
  state_->free_bytes = std::move(free_bytes);
  state_->total_bytes = state_->free_bytes();
}

int64_t MemoryBudget::Available(const State& state) {
  return std::min(state.total_bytes - state.taken_bytes, state.free_bytes());
}

int64_t MemoryBudget::available_bytes() const {
  const std::lock_guard lock(state_->mutex);
  return Available(*state_);
}

Result<MemoryBudget::Lease> MemoryBudget::Take(int64_t bytes, int64_t reserved_bytes,
                                               const std::string& what) {
  const std::lock_guard lock(state_->mutex);
  const int64_t available = Available(*state_);
  if (bytes > available - reserved_bytes) {
    const auto human = [](int64_t count) {
      return HumanBytes(static_cast<uint64_t>(std::max<int64_t>(0, count)));
    };
    return Status(StatusCode::kResourceExhausted,
                  fmt::format("{} needs {} of memory, but {} are available of which {} stay "
                              "reserved; unregister a model, or lower kv_cache_bytes, "
                              "required_memory_mb or reserved_memory_mb",
                              what, human(bytes), human(available), human(reserved_bytes)));
  }
  state_->taken_bytes += bytes;
  return Lease(state_, bytes);
}

}  // namespace dray::serving
