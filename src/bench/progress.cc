#include "bench/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cmath>

namespace dray::bench {

Progress::Progress(double total_cost, std::FILE* out)
    : total_cost_(total_cost), out_(out), is_terminal_(::isatty(::fileno(out)) == 1) {}

Progress::~Progress() {
  if (shown_ && is_terminal_) fmt::print(out_, "\r\x1b[K");
}

void Progress::Begin(const std::string& what, double cost) {
  done_cost_ += current_cost_;
  current_cost_ = cost;
  std::string left;
  if (done_cost_ > 0) {
    const double seconds = watch_.Seconds() * (total_cost_ - done_cost_) / done_cost_;
    left = fmt::format(", about {} left", HumanSeconds(seconds));
  }
  const double share = total_cost_ > 0 ? 100 * done_cost_ / total_cost_ : 0;
  const std::string line = fmt::format("{:3.0f} %  {}{}", share, what, left);
  if (is_terminal_) {
    fmt::print(out_, "\r{}\x1b[K", line);
  } else {
    fmt::print(out_, "{}\n", line);
  }
  std::fflush(out_);
  shown_ = true;
}

std::string HumanSeconds(double seconds) {
  const int64_t whole = std::llround(seconds);
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {} min", whole / 3600, whole / 60 % 60);
}

}  // namespace dray::bench
