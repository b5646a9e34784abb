#include "tokenizer/text/work_budget.h"

#include <fmt/format.h>

#include <ctime>

namespace dray::tokenizer {
namespace {

constexpr double kBaseSeconds = 1.0;
constexpr double kSecondsPerByte = 1e-6;  // published patterns run at 5 to 10 MB/s
// Reading the thread's clock is a system call. Reading the common clock is not; it tells when to
// read the thread's.
constexpr auto kBetweenLooks = std::chrono::milliseconds(5);

double ThreadSeconds() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

}  // namespace

WorkBudget::WorkBudget(size_t text_bytes, std::function<bool()> is_cancelled)
    : allowance_seconds_(kBaseSeconds + kSecondsPerByte * static_cast<double>(text_bytes)),
      is_cancelled_(std::move(is_cancelled)) {}

bool WorkBudget::Ask() {
  unasked_bytes_ = 0;
  cancelled_ = cancelled_ || (is_cancelled_ && is_cancelled_());
  return cancelled_;
}

Status WorkBudget::SpentError(size_t text_bytes) const {
  if (cancelled_) return {StatusCode::kCancelled, "the text's ids are not wanted any more"};
  return {StatusCode::kDeadlineExceeded,
          fmt::format("the tokenizer's patterns take too long on a text of {} bytes; shorten it",
                      text_bytes)};
}

bool WorkBudget::IsSpent() {
  const auto now = Clock::now();
  if (started_ && now - last_look_ < kBetweenLooks) return spent_;
  last_look_ = now;
  const double used = ThreadSeconds();
  if (!started_) deadline_seconds_ = used + allowance_seconds_;
  started_ = true;
  spent_ = spent_ || used > deadline_seconds_ || Ask();
  return spent_;
}

}  // namespace dray::tokenizer
