// How much processor time one request may spend in the patterns of an untrusted tokenizer file, and whether its
// ids are still wanted. One budget a request, passed down by reference, so that many cheap-looking calls cannot
// add up to minutes.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <utility>

#include "base/status.h"

namespace dray::tokenizer {

class WorkBudget {
 public:
  // For a text of that size: published patterns need a fifth of it or less. `is_cancelled` is asked now and
  // then; once it says true, the budget is spent.
  explicit WorkBudget(size_t text_bytes, std::function<bool()> is_cancelled = {});

  // Whether the time is over. Call between pieces of work that take milliseconds at most. Must stay
  // on one thread: the clock is the thread's own, so that a busy machine refuses nothing.
  bool IsSpent();
  // Whether the ids are not wanted any more, for work that needs no limit. Asks after every 64 KiB of the
  // `bytes` of text, or of steps, that calls name as done.
  bool IsCancelledAfter(size_t bytes) {
    unasked_bytes_ += bytes;
    return is_cancelled_ && unasked_bytes_ >= kBytesBetweenQuestions && Ask();
  }
  // The error of a budget that is spent: kCancelled or kDeadlineExceeded.
  Status SpentError(size_t text_bytes) const;

 private:
  using Clock = std::chrono::steady_clock;
  // Some 10 ms of work.
  static constexpr size_t kBytesBetweenQuestions = size_t{64} << 10;

  bool Ask();

  double allowance_seconds_;
  double deadline_seconds_ = 0;  // of the thread's clock
  Clock::time_point last_look_;
  bool started_ = false;
  bool spent_ = false;
  std::function<bool()> is_cancelled_;
  bool cancelled_ = false;
  size_t unasked_bytes_ = 0;
};

}  // namespace dray::tokenizer
