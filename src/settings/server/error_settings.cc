#include "settings/server/error_settings.h"

#include <algorithm>
#include <cctype>
#include <iterator>
#include <string>

#include "base/parse/parse_number.h"
#include "settings/setting_values.h"

namespace dray::settings {
namespace {

using Text = std::string_view;

constexpr int64_t kMsPerSecond = 1000;

struct Unit {
  char letter;
  bool behind_t;  // of the time, which a "T" divides from the days
  int64_t ms;
};
// In the order in which a duration may have them.
constexpr Unit kUnits[] = {{'D', false, 24 * 3600 * kMsPerSecond},
                           {'H', true, 3600 * kMsPerSecond},
                           {'M', true, 60 * kMsPerSecond},
                           {'S', true, kMsPerSecond}};

// Removes `letter`, in upper or lower case, from the text's front.
bool TakeLetter(Text& text, char letter) {
  if (text.empty() || std::toupper(static_cast<unsigned char>(text.front())) != letter)
    return false;
  text.remove_prefix(1);
  return true;
}

// Removes the digits at the text's front. Nothing if there are none, or too many for a number.
std::optional<int64_t> TakeNumber(Text& text) {
  const auto* const end = std::find_if_not(text.begin(), text.end(),
                                           [](unsigned char c) { return std::isdigit(c) != 0; });
  const auto size = static_cast<size_t>(end - text.begin());
  const auto number = ParseInt64(text.substr(0, size));
  text.remove_prefix(size);
  return number;
}

// Removes the fraction of a number of seconds from the text's front; the milliseconds that it stands for.
// Nothing if it has more digits than Java's Duration takes.
std::optional<int64_t> TakeFraction(Text& text) {
  constexpr size_t kMaxDigits = 9;
  if (text.empty() || (text.front() != '.' && text.front() != ',')) return 0;
  text.remove_prefix(1);
  const size_t size =
      static_cast<size_t>(std::find_if_not(text.begin(), text.end(),
                                           [](unsigned char c) { return std::isdigit(c) != 0; }) -
                          text.begin());
  if (size > kMaxDigits) return std::nullopt;
  std::string digits(text.substr(0, size));
  digits.resize(3, '0');
  text.remove_prefix(size);
  return ParseInt64(digits);
}

// The milliseconds of an ISO 8601 duration; nothing if the text is none.
std::optional<int64_t> ParseDuration(Text text) {
  if (!TakeLetter(text, 'P') || text.empty()) return std::nullopt;
  int64_t sum = 0;
  const auto* unit = std::begin(kUnits);
  bool behind_t = false;
  while (!text.empty()) {
    if (!behind_t && TakeLetter(text, 'T')) behind_t = true;
    const auto number = TakeNumber(text);
    if (!number) return std::nullopt;
    const bool has_fraction = !text.empty() && (text.front() == '.' || text.front() == ',');
    const auto fraction = TakeFraction(text);
    if (!fraction) return std::nullopt;
    unit = std::find_if(unit, std::end(kUnits), [&](const Unit& candidate) {
      return candidate.behind_t == behind_t && (!has_fraction || candidate.letter == 'S') &&
             TakeLetter(text, candidate.letter);
    });
    if (unit == std::end(kUnits)) return std::nullopt;
    int64_t ms = 0;
    if (__builtin_mul_overflow(*number, unit->ms, &ms) ||
        __builtin_add_overflow(ms, *fraction, &ms) || __builtin_add_overflow(sum, ms, &sum)) {
      return std::nullopt;
    }
    ++unit;
  }
  return sum;
}

}  // namespace

Status SetHttpStatus(int64_t& out, Text text) { return SetCount(out, text, 200, 599); }

Status SetErrorRate(std::optional<ErrorRate>& out, Text text) {
  ErrorRate rate;
  const size_t slash = text.find('/');
  const auto number = ParseInt64(text.substr(0, slash));
  const auto window = slash == Text::npos ? std::optional<int64_t>(rate.window.count())
                                          : ParseDuration(text.substr(slash + 1));
  if (!number || *number < 0 || !window || *window < 1) {
    return MustBe(
        "it must be a number of errors, such as 10, perhaps with the time in which they may come, "
        "such as 10/PT5M");
  }
  rate.max_errors = *number;
  rate.window = std::chrono::milliseconds(*window);
  out = rate;
  return OkStatus();
}

}  // namespace dray::settings
