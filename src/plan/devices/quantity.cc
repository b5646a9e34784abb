#include "plan/devices/quantity.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <span>
#include <string>

#include "base/parse/parse_number.h"

namespace dray::plan {
namespace {

struct Unit {
  std::string_view name;  // in lower case
  double factor;
};

constexpr std::array<Unit, 9> kByteUnits = {{{"b", 1.0},
                                             {"kb", 1e3},
                                             {"mb", 1e6},
                                             {"gb", 1e9},
                                             {"tb", 1e12},
                                             {"kib", 1024.0},
                                             {"mib", 1048576.0},
                                             {"gib", 1073741824.0},
                                             {"tib", 1099511627776.0}}};
constexpr std::array<Unit, 4> kBitUnits = {
    {{"kbit", 1e3 / 8}, {"mbit", 1e6 / 8}, {"gbit", 1e9 / 8}, {"tbit", 1e12 / 8}}};
constexpr std::array<Unit, 6> kRateUnits = {{{"gflop", 1e9 / 2},
                                             {"tflop", 1e12 / 2},
                                             {"pflop", 1e15 / 2},
                                             {"gop", 1e9 / 2},
                                             {"top", 1e12 / 2},
                                             {"pop", 1e15 / 2}}};
constexpr std::array<Unit, 5> kTimeUnits = {
    {{"ns", 1e-9}, {"us", 1e-6}, {"\xc2\xb5s", 1e-6}, {"ms", 1e-3}, {"s", 1.0}}};

std::string LowerCase(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) {
    return c < 128 ? static_cast<char>(std::tolower(c)) : static_cast<char>(c);
  });
  return lower;
}

// A number, and behind it one of the units.
std::optional<double> Parse(std::string_view text, std::span<const Unit> units) {
  const size_t digits = std::min(text.find_first_not_of("0123456789."), text.size());
  const std::optional<double> number = ParseDouble(text.substr(0, digits));
  const std::string_view name = text.substr(digits);
  const auto unit =
      std::find_if(units.begin(), units.end(), [&](const Unit& u) { return u.name == name; });
  if (!number || unit == units.end()) return std::nullopt;
  const double value = *number * unit->factor;
  if (!(value > 0) || !std::isfinite(value)) return std::nullopt;
  return value;
}

// Removes the first of the endings that the text has. False if it has none.
bool RemoveEnding(std::string& text, std::span<const std::string_view> endings) {
  for (const std::string_view ending : endings) {
    if (!text.ends_with(ending)) continue;
    text.resize(text.size() - ending.size());
    return true;
  }
  return false;
}

}  // namespace

std::optional<double> ParseBytes(std::string_view text) {
  return Parse(LowerCase(text), kByteUnits);
}

std::optional<double> ParseBandwidth(std::string_view text) {
  std::string lower = LowerCase(text);
  if (lower.ends_with("bps")) {
    lower.resize(lower.size() - 3);
    return Parse(lower + "bit", kBitUnits);
  }
  constexpr std::array<std::string_view, 1> kPerSecond = {"/s"};
  if (!RemoveEnding(lower, kPerSecond)) return std::nullopt;
  return lower.ends_with("bit") ? Parse(lower, kBitUnits) : Parse(lower, kByteUnits);
}

std::optional<double> ParseRate(std::string_view text) {
  constexpr std::array<std::string_view, 3> kPerSecond = {"s/s", "/s", "s"};
  std::string lower = LowerCase(text);
  if (!RemoveEnding(lower, kPerSecond)) return std::nullopt;
  return Parse(lower, kRateUnits);
}

std::optional<double> ParseSeconds(std::string_view text) {
  return Parse(LowerCase(text), kTimeUnits);
}

}  // namespace dray::plan
