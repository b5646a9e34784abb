#include "cli/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include "cli/human.h"

namespace dray::cli {
namespace {

constexpr int kBarWidth = 30;
// Often enough to look alive, rarely enough to cost nothing.
constexpr auto kInterval = std::chrono::milliseconds(100);

}  // namespace

ProgressLine::ProgressLine()
    : is_terminal_(::isatty(STDERR_FILENO) == 1), start_(std::chrono::steady_clock::now()) {}

ProgressLine::~ProgressLine() {
  if (shown_) fmt::print(stderr, "\r\x1b[K");
}

void ProgressLine::Update(uint64_t done_bytes, uint64_t total_bytes) {
  const auto now = std::chrono::steady_clock::now();
  if (!is_terminal_ || total_bytes == 0 || now - last_ < kInterval) return;
  last_ = now;
  shown_ = true;
  const double share = static_cast<double>(done_bytes) / static_cast<double>(total_bytes);
  const double seconds = std::chrono::duration<double>(now - start_).count();
  const auto filled = static_cast<size_t>(share * kBarWidth);
  fmt::print(stderr, "\rloading [{:<{}}] {} of {}, {}/s\x1b[K", std::string(filled, '#'), kBarWidth,
             HumanBytes(done_bytes), HumanBytes(total_bytes),
             HumanBytes(static_cast<uint64_t>(static_cast<double>(done_bytes) / seconds)));
  std::fflush(stderr);
}

}  // namespace dray::cli
