#include "base/human.h"

#include <fmt/format.h>

#include <array>
#include <string_view>

namespace dray {
namespace {

std::string Scaled(double value, const std::array<std::string_view, 5>& units) {
  size_t unit = 0;
  while (value >= 1000.0 && unit + 1 < units.size()) {
    value /= 1000.0;
    ++unit;
  }
  return unit == 0 ? fmt::format("{:.0f} {}", value, units[0])
                   : fmt::format("{:.2f} {}", value, units[unit]);
}

}  // namespace

std::string HumanBytes(uint64_t bytes) {
  return Scaled(static_cast<double>(bytes), {"B", "kB", "MB", "GB", "TB"});
}

std::string HumanCount(int64_t count) {
  std::string text = Scaled(static_cast<double>(count), {"", "k", "M", "B", "T"});
  if (count < 1000) text.pop_back();
  return text;
}

}  // namespace dray
