// Why something that ranks share has ended, in memory that they share.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "base/status.h"

namespace dray::parallel {

// Zeros are one without a reason.
class SharedReason {
 public:
  // Keeps the first reason. True for the caller whose reason was kept. Longer messages are cut.
  bool Set(const Status& reason);
  // The reason, or a general one if there is none yet. Trusts no byte of the memory.
  Status Get() const;

 private:
  static constexpr size_t kMessageBytes = 500;

  enum State : uint32_t { kNone, kBeingWritten, kWritten };
  std::atomic<uint32_t> state_{kNone};
  uint32_t code_ = 0;
  uint32_t length_ = 0;
  std::array<char, kMessageBytes> message_{};
};

}  // namespace dray::parallel
