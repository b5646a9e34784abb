#include "serving/load/load_progress.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "base/human.h"

namespace dray::serving {

std::string LoadPace::Describe(uint64_t done_bytes, uint64_t total_bytes) {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return DescribeAt(std::chrono::duration<double>(now).count(), done_bytes, total_bytes);
}

std::string LoadPace::DescribeAt(double seconds, uint64_t done_bytes, uint64_t total_bytes) {
  if (!start_) start_ = {seconds, done_bytes};
  std::string text = fmt::format("{} of {}", HumanBytes(done_bytes), HumanBytes(total_bytes));
  const double elapsed = seconds - start_->seconds;
  if (elapsed <= 0 || done_bytes <= start_->done_bytes || done_bytes > total_bytes) return text;
  const double rate = static_cast<double>(done_bytes - start_->done_bytes) / elapsed;
  const double left = static_cast<double>(total_bytes - done_bytes) / rate;
  return text + fmt::format(", {}/s, {:.0f} s left", HumanBytes(static_cast<uint64_t>(rate)),
                            std::ceil(left));
}

LoadDeadline::LoadDeadline(std::chrono::seconds limit, std::stop_token caller)
    : limit_(limit), forward_(std::move(caller), [this] { source_.request_stop(); }) {}

void LoadDeadline::Progress(uint64_t done_bytes, uint64_t total_bytes) {
  if (limit_.count() == 0 || done_bytes >= total_bytes || Clock::now() - start_ <= limit_) return;
  if (source_.request_stop()) {
    too_late_ =
        fmt::format("{} of {} were loaded", HumanBytes(done_bytes), HumanBytes(total_bytes));
  }
}

Status LoadDeadline::Explain(const Status& status) const {
  if (too_late_.empty() || status.ok()) return status;
  return {StatusCode::kDeadlineExceeded,
          fmt::format("loading it took longer than model_loading_timeout = {} s, in which {}; set "
                      "a larger limit, or 0 for none",
                      limit_.count(), too_late_)};
}

}  // namespace dray::serving
