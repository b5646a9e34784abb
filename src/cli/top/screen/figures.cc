#include "cli/top/screen/figures.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <string_view>

namespace dray::cli {
namespace {

// From nothing to the full height of a line.
constexpr std::array<std::string_view, 9> kUnicodeHeights = {" ", "▁", "▂", "▃", "▄",
                                                             "▅", "▆", "▇", "█"};
constexpr std::array<std::string_view, 9> kAsciiHeights = {" ", ".", ".", ":", ":",
                                                           "+", "+", "#", "#"};

// `share` within [0, 1]; what is no number is 0.
double Clamped(double share) { return share > 0 ? std::min(share, 1.0) : 0; }

}  // namespace

std::string RateText(double rate) {
  constexpr double kThousand = 1e3;
  if (!(rate > 0)) return "0";
  if (rate < 100) return fmt::format("{:.1f}", rate);
  if (rate < 100 * kThousand) return fmt::format("{:.0f}", rate);
  return fmt::format("{:.0f}k", rate / kThousand);
}

std::string LatencyText(const std::optional<Quantile>& quantile) {
  constexpr double kMillisecondsPerSecond = 1e3;
  if (!quantile) return "-";
  const std::string sign = quantile->is_beyond ? ">" : "";
  const double ms = quantile->seconds * kMillisecondsPerSecond;
  if (ms < 10) return sign + fmt::format("{:.2f} ms", ms);
  if (ms < 1000) return sign + fmt::format("{:.1f} ms", ms);
  return sign + fmt::format("{:.2f} s", quantile->seconds);
}

std::string DurationText(double seconds) {
  constexpr int64_t kMinute = 60;
  constexpr int64_t kHour = 60 * kMinute;
  constexpr int64_t kDay = 24 * kHour;
  constexpr double kLongest = 1e12;
  if (!(seconds >= 0 && seconds < kLongest)) return "?";
  const auto whole = static_cast<int64_t>(seconds);
  if (whole < kMinute) return fmt::format("{} s", whole);
  if (whole < kHour) return fmt::format("{} min {} s", whole / kMinute, whole % kMinute);
  if (whole < kDay) return fmt::format("{} h {} min", whole / kHour, whole % kHour / kMinute);
  return fmt::format("{} d {} h", whole / kDay, whole % kDay / kHour);
}

std::string PercentText(double share) { return fmt::format("{:.0f} %", Clamped(share) * 100); }

std::string CountText(double count) {
  constexpr double kLargest = 1e15;  // whole numbers up to here are exact
  if (!(count >= 0 && count <= kLargest)) return "?";
  return fmt::format("{:.0f}", count);
}

std::string Bar(double share, size_t columns) {
  if (columns < 3) return "";
  const size_t room = columns - 2;
  const auto filled = static_cast<size_t>(std::lround(Clamped(share) * static_cast<double>(room)));
  return "[" + std::string(filled, '|') + std::string(room - filled, ' ') + "]";
}

std::string Curve(const std::vector<double>& values, size_t columns, Glyphs glyphs) {
  const auto& heights = glyphs == Glyphs::kUnicode ? kUnicodeHeights : kAsciiHeights;
  const size_t count = std::min(columns, values.size());
  const auto first = values.end() - static_cast<std::ptrdiff_t>(count);
  const double most = count == 0 ? 0 : *std::max_element(first, values.end());
  std::string out(columns - count, ' ');
  for (auto value = first; value != values.end(); ++value) {
    const double share = most > 0 ? Clamped(*value / most) : 0;
    // Anything above nothing can be seen.
    out += heights[static_cast<size_t>(std::ceil(share * (heights.size() - 1)))];
  }
  return out;
}

}  // namespace dray::cli
