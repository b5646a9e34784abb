#include "settings/setting_values.h"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "base/parse/parse_number.h"

namespace dray::settings {

using Text = std::string_view;

Status MustBe(std::string what) { return Status(StatusCode::kInvalidArgument, std::move(what)); }

Status SetCount(int64_t& out, Text text, int64_t min, int64_t max) {
  const auto value = ParseInt64(text);
  if (!value || *value < min || *value > max) {
    if (max == kNoLimit) return MustBe(fmt::format("it must be a whole number from {} up", min));
    return MustBe(fmt::format("it must be a whole number from {} to {}", min, max));
  }
  out = *value;
  return OkStatus();
}

Status SetBytes(int64_t& out, Text text, int64_t min) {
  int64_t unit = 1;
  for (const Text suffix : {Text("iB"), Text("B")}) {
    if (text.ends_with(suffix)) {
      text.remove_suffix(suffix.size());
      break;
    }
  }
  constexpr std::array<std::pair<char, int>, 4> kUnits = {
      {{'K', 10}, {'M', 20}, {'G', 30}, {'T', 40}}};
  for (const auto& [letter, bits] : kUnits) {
    if (text.empty() || text.back() != letter) continue;
    text.remove_suffix(1);
    unit = int64_t{1} << bits;
    break;
  }
  const auto value = ParseInt64(text);
  int64_t bytes = 0;
  if (!value || __builtin_mul_overflow(*value, unit, &bytes) || bytes < min) {
    return MustBe(
        fmt::format("it must be a number of bytes, at least {}, such as 4294967296 or 4GiB", min));
  }
  out = bytes;
  return OkStatus();
}

Status SetBool(bool& out, Text text) {
  const auto value = ParseBool(text);
  if (!value) return MustBe("it must be true or false");
  out = *value;
  return OkStatus();
}

Status SetText(std::string& out, Text text) {
  if (text.empty()) return MustBe("it must not be empty");
  out = text;
  return OkStatus();
}

}  // namespace dray::settings
