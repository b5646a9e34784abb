#include "cli/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>

#include "serving/load/open_model.h"

namespace dray::cli {
namespace {

constexpr int kBarWidth = 30;
// Often enough to look alive, and too rarely to cost time.
constexpr auto kInterval = std::chrono::milliseconds(100);

}  // namespace

ProgressLine::ProgressLine(const char* verb, std::string (*amount)(uint64_t))
    : verb_(verb), amount_(amount), is_terminal_(::isatty(STDERR_FILENO) == 1) {}

ProgressLine::~ProgressLine() {
  if (shown_) fmt::print(stderr, "\r\x1b[K");
}

void ProgressLine::Update(uint64_t done, uint64_t total) {
  const auto now = std::chrono::steady_clock::now();
  if (!is_terminal_ || total == 0 || now - last_ < kInterval) return;
  if (!start_) start_ = {now, done};
  last_ = now;
  shown_ = true;
  const double share = static_cast<double>(done) / static_cast<double>(total);
  const auto filled = static_cast<size_t>(share * kBarWidth);
  fmt::print(stderr, "\r{} [{:<{}}] {} of {}{}\x1b[K", verb_, std::string(filled, '#'), kBarWidth,
             amount_(done), amount_(total), DescribePace(done, total));
  std::fflush(stderr);
}

std::string ProgressLine::DescribePace(uint64_t done, uint64_t total) const {
  const double seconds = std::chrono::duration<double>(last_ - start_->time).count();
  if (seconds <= 0 || done <= start_->done || done > total) return "";
  const double rate = static_cast<double>(done - start_->done) / seconds;
  return fmt::format(", {}/s, {:.0f} s left", amount_(static_cast<uint64_t>(rate)),
                     std::ceil(static_cast<double>(total - done) / rate));
}

Result<std::shared_ptr<serving::ServedModel>> OpenWithProgress(const ResolvedModel& resolved) {
  ProgressLine line("loading");
  return serving::OpenModel(
      resolved.settings.model, resolved.files,
      {.progress = [&](uint64_t done, uint64_t total) { line.Update(done, total); }});
}

}  // namespace dray::cli
