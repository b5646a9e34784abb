#include "parallel/memory/shared_reason.h"

#include <algorithm>
#include <string>

namespace dray::parallel {

bool SharedReason::Set(const Status& reason) {
  uint32_t expected = kNone;
  if (!state_.compare_exchange_strong(expected, kBeingWritten)) return false;
  code_ = static_cast<uint32_t>(reason.code());
  length_ = static_cast<uint32_t>(std::min(reason.message().size(), kMessageBytes));
  std::copy_n(reason.message().begin(), length_, message_.begin());
  state_.store(kWritten, std::memory_order_release);
  return true;
}

Status SharedReason::Get() const {
  if (state_.load(std::memory_order_acquire) != kWritten) {
    return {StatusCode::kUnavailable, "the group of ranks has ended"};
  }
  auto code = static_cast<StatusCode>(code_);
  if (code == StatusCode::kOk || code > StatusCode::kInternal) code = StatusCode::kUnavailable;
  return {code, std::string(message_.data(), std::min<size_t>(length_, kMessageBytes))};
}

}  // namespace dray::parallel
