// How much processor time one request may spend in the patterns of an untrusted tokenizer file.
// One budget a request, passed down by reference, so that many cheap-looking calls cannot add
// up to minutes.
#pragma once

#include <chrono>
#include <cstddef>

namespace dray::tokenizer {

class WorkBudget {
 public:
  // For a text of that size: published patterns need a fifth of it or less.
  explicit WorkBudget(size_t text_bytes);

  // Whether the time is over. Call between pieces of work that take milliseconds at most. Must stay
  // on one thread: the clock is the thread's own, so that a busy machine refuses nothing.
  bool IsSpent();

 private:
  using Clock = std::chrono::steady_clock;

  double allowance_seconds_;
  double deadline_seconds_ = 0;  // of the thread's clock
  Clock::time_point last_look_;
  bool started_ = false;
  bool spent_ = false;
};

}  // namespace dray::tokenizer
