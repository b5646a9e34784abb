#include "base/parse/properties.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>
#include <vector>

#include "base/parse/append_utf8.h"

namespace dray {
namespace {

bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\f'; }

std::string_view TrimLeft(std::string_view text) {
  while (!text.empty() && IsBlank(text.front())) text.remove_prefix(1);
  return text;
}

// A logical line: continuations joined, with the number of its first natural line.
struct Line {
  size_t number;
  std::string text;
};

bool EndsInOddBackslashes(std::string_view text) {
  size_t count = 0;
  while (count < text.size() && text[text.size() - 1 - count] == '\\') ++count;
  return count % 2 == 1;
}

std::vector<Line> LogicalLines(std::string_view text) {
  std::vector<Line> lines;
  size_t number = 0;
  bool continues = false;
  while (!text.empty()) {
    const size_t end = text.find_first_of("\r\n");
    std::string_view line = TrimLeft(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (end != std::string_view::npos && !text.empty() && text.front() == '\n' &&
        text.data()[-1] == '\r') {
      text.remove_prefix(1);
    }
    ++number;
    if (!continues && (line.empty() || line.front() == '#' || line.front() == '!')) continue;
    if (!continues) lines.push_back({number, ""});
    continues = EndsInOddBackslashes(line);
    if (continues) line.remove_suffix(1);
    lines.back().text += line;
  }
  return lines;
}

// The UTF-16 unit of the escape "uXXXX" at the start of `text`.
std::optional<uint32_t> ReadUnit(std::string_view text) {
  constexpr size_t kDigits = 4;
  if (text.size() < 1 + kDigits || text.front() != 'u') return std::nullopt;
  uint32_t unit = 0;
  const char* begin = text.data() + 1;
  if (std::from_chars(begin, begin + kDigits, unit, 16).ptr != begin + kDigits) return std::nullopt;
  return unit;
}

bool IsHighSurrogate(uint32_t unit) { return unit >= 0xD800 && unit <= 0xDBFF; }
bool IsLowSurrogate(uint32_t unit) { return unit >= 0xDC00 && unit <= 0xDFFF; }

// Takes one character's \u escapes, of which the backslash is already taken, off `text`. A character
// beyond U+FFFF is two escapes, a high and a low surrogate.
Result<uint32_t> TakeUnicodeEscape(std::string_view& text, size_t line) {
  constexpr size_t kUnitBytes = 5;  // "uXXXX"
  const auto refused = [line](std::string_view what) {
    return Status(StatusCode::kInvalidArgument, fmt::format("line {}: {}", line, what));
  };
  const auto unit = ReadUnit(text);
  if (!unit) return refused("\\u wants four hexadecimal digits");
  text.remove_prefix(kUnitBytes);
  if (!IsHighSurrogate(*unit) && !IsLowSurrogate(*unit)) return *unit;
  const auto low = text.starts_with('\\') ? ReadUnit(text.substr(1)) : std::nullopt;
  if (!IsHighSurrogate(*unit) || !low || !IsLowSurrogate(*low)) {
    return refused(
        fmt::format("\\u{:04x} is half a character; write a pair such as \\ud83d\\ude42, or the "
                    "character itself",
                    *unit));
  }
  text.remove_prefix(1 + kUnitBytes);
  return 0x10000 + ((*unit - 0xD800) << 10) + (*low - 0xDC00);
}

Result<std::string> Unescape(std::string_view text, size_t line) {
  std::string out;
  while (!text.empty()) {
    const char c = text.front();
    text.remove_prefix(1);
    if (c != '\\' || text.empty()) {
      out += c;
    } else if (text.front() == 'u') {
      DRAY_ASSIGN_OR_RETURN(const uint32_t code, TakeUnicodeEscape(text, line));
      AppendUtf8(code, out);
    } else {
      constexpr std::string_view kLetters = "ntrf";
      constexpr std::string_view kMeanings = "\n\t\r\f";
      const size_t letter = kLetters.find(text.front());
      out += letter == std::string_view::npos ? text.front() : kMeanings[letter];
      text.remove_prefix(1);
    }
  }
  return out;
}

// Drops blanks at the end; one that a backslash escapes stays.
std::string_view TrimRight(std::string_view text) {
  while (!text.empty() && IsBlank(text.back()) &&
         !EndsInOddBackslashes(text.substr(0, text.size() - 1))) {
    text.remove_suffix(1);
  }
  return text;
}

// Where the key ends: the first separator that no backslash escapes.
size_t KeyEnd(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\')
      ++i;
    else if (text[i] == '=' || text[i] == ':' || IsBlank(text[i]))
      return i;
  }
  return text.size();
}

}  // namespace

Result<Properties> ParseProperties(std::string_view text) {
  Properties properties;
  for (const Line& line : LogicalLines(text)) {
    const std::string_view whole = line.text;
    const size_t key_end = KeyEnd(whole);
    std::string_view value = TrimLeft(whole.substr(key_end));
    if (!value.empty() && (value.front() == '=' || value.front() == ':'))
      value = TrimLeft(value.substr(1));
    value = TrimRight(value);
    DRAY_ASSIGN_OR_RETURN(std::string key, Unescape(whole.substr(0, key_end), line.number));
    if (key.empty()) {
      return Status(StatusCode::kInvalidArgument,
                    fmt::format("line {}: the key is missing", line.number));
    }
    DRAY_ASSIGN_OR_RETURN(properties[key], Unescape(value, line.number));
  }
  return properties;
}

}  // namespace dray
