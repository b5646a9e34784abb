#include "base/parse/properties.h"

#include <fmt/format.h>

#include <charconv>
#include <vector>

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

void AppendUtf8(uint32_t code, std::string& out) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0 | (code >> 6));
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else {
    out += static_cast<char>(0xE0 | (code >> 12));
    out += static_cast<char>(0x80 | ((code >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  }
}

Result<std::string> Unescape(std::string_view text, size_t line) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    const char c = text[++i];
    if (c == 'n')
      out += '\n';
    else if (c == 't')
      out += '\t';
    else if (c == 'r')
      out += '\r';
    else if (c == 'f')
      out += '\f';
    else if (c != 'u')
      out += c;
    else {
      uint32_t code = 0;
      const char* begin = text.data() + i + 1;
      if (text.size() - i - 1 < 4 || std::from_chars(begin, begin + 4, code, 16).ptr != begin + 4) {
        return Status(StatusCode::kInvalidArgument,
                      fmt::format("line {}: \\u wants four hexadecimal digits", line));
      }
      AppendUtf8(code, out);
      i += 4;
    }
  }
  return out;
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
    while (!value.empty() && IsBlank(value.back())) value.remove_suffix(1);
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
