#include "cli/bench/bench_lists.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <string_view>

#include "base/parse/parse_number.h"

namespace dray::cli {
namespace {

// Calls take(part) for each part between commas. Stops and returns false if `take` does.
bool ForEachPart(std::string_view text, const std::function<bool(std::string_view)>& take) {
  size_t begin = 0;
  while (begin <= text.size()) {
    const size_t end = std::min(text.find(',', begin), text.size());
    if (!take(text.substr(begin, end - begin))) return false;
    begin = end + 1;
  }
  return true;
}

}  // namespace

Result<std::vector<int64_t>> ParseCounts(const std::string& text, int64_t most) {
  std::vector<int64_t> values;
  const bool ok = ForEachPart(text, [&](std::string_view part) {
    const auto value = ParseInt64(part);
    if (value) values.push_back(*value);
    return value && *value >= 1 && *value <= most;
  });
  if (ok) return values;
  return Status(StatusCode::kInvalidArgument,
                fmt::format("{}: it must be whole numbers from 1 to {} with commas between them",
                            text, most));
}

Result<std::vector<double>> ParseRates(const std::string& text) {
  constexpr double kMost = 1e6;
  std::vector<double> values;
  const bool ok = ForEachPart(text, [&](std::string_view part) {
    const auto value = ParseDouble(part);
    if (value) values.push_back(*value);
    return value && *value > 0 && *value <= kMost;
  });
  if (ok) return values;
  return Status(StatusCode::kInvalidArgument,
                fmt::format("{}: it must be numbers above 0 with commas between them", text));
}

}  // namespace dray::cli
