#include "cli/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include "serving/load/open_model.h"

namespace dray::cli {
namespace {

constexpr int kBarWidth = 30;
// Often enough to look alive, and too rarely to cost time.
constexpr auto kInterval = std::chrono::milliseconds(100);

}  // namespace

ProgressLine::ProgressLine(const char* verb, std::string (*amount)(uint64_t))
    : verb_(verb),
      amount_(amount),
      is_terminal_(::isatty(STDERR_FILENO) == 1),
      start_(std::chrono::steady_clock::now()) {}

ProgressLine::~ProgressLine() {
  if (shown_) fmt::print(stderr, "\r\x1b[K");
}

void ProgressLine::Update(uint64_t done, uint64_t total) {
  const auto now = std::chrono::steady_clock::now();
  if (!is_terminal_ || total == 0 || now - last_ < kInterval) return;
  last_ = now;
  shown_ = true;
  const double share = static_cast<double>(done) / static_cast<double>(total);
  const double seconds = std::chrono::duration<double>(now - start_).count();
  const auto filled = static_cast<size_t>(share * kBarWidth);
  fmt::print(stderr, "\r{} [{:<{}}] {} of {}, {}/s\x1b[K", verb_, std::string(filled, '#'),
             kBarWidth, amount_(done), amount_(total),
             amount_(static_cast<uint64_t>(static_cast<double>(done) / seconds)));
  std::fflush(stderr);
}

Result<std::shared_ptr<serving::ServedModel>> OpenWithProgress(const ResolvedModel& resolved) {
  ProgressLine line("loading");
  return serving::OpenModel(
      resolved.settings.model, resolved.files,
      {.progress = [&](uint64_t done, uint64_t total) { line.Update(done, total); }});
}

}  // namespace dray::cli
