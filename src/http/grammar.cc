#include "http/grammar.h"

#include <algorithm>
#include <charconv>

#include "http/request.h"

namespace dray::http {
namespace {

bool IsAlphanumeric(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool IsOneOf(char c, std::string_view set) {
  return c != '\0' && set.find(c) != std::string_view::npos;
}

bool IsTokenChar(char c) { return IsAlphanumeric(c) || IsOneOf(c, "!#$%&'*+-.^_`|~"); }

// The Take functions take something off the front of `text`, or return false.

void TakeBlanks(std::string_view& text) {
  while (!text.empty() && IsOneOf(text.front(), " \t")) text.remove_prefix(1);
}

bool TakeChar(std::string_view& text, char c) {
  if (!text.starts_with(c)) return false;
  text.remove_prefix(1);
  return true;
}

bool TakeToken(std::string_view& text) {
  const auto* const end = std::find_if_not(text.begin(), text.end(), IsTokenChar);
  const auto size = static_cast<size_t>(end - text.begin());
  text.remove_prefix(size);
  return size > 0;
}

// "text in which a backslash takes the meaning from the next character"
bool TakeQuotedString(std::string_view& text) {
  if (!TakeChar(text, '"')) return false;
  while (!text.empty()) {
    if (TakeChar(text, '"')) return true;
    if (TakeChar(text, '\\') && text.empty()) return false;
    if (!IsFieldChar(text.front())) return false;
    text.remove_prefix(1);
  }
  return false;
}

bool TakeExtension(std::string_view& text) {
  TakeBlanks(text);
  if (!TakeChar(text, ';')) return false;
  TakeBlanks(text);
  if (!TakeToken(text)) return false;
  std::string_view value = text;
  TakeBlanks(value);
  if (!TakeChar(value, '=')) return true;
  TakeBlanks(value);
  if (!TakeToken(value) && !TakeQuotedString(value)) return false;
  text = value;
  return true;
}

}  // namespace

bool IsToken(std::string_view text) { return TakeToken(text) && text.empty(); }

bool IsFieldChar(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte == '\t' || (byte >= 0x20 && byte != 0x7f);
}

std::string_view Trim(std::string_view text) {
  TakeBlanks(text);
  while (!text.empty() && IsOneOf(text.back(), " \t")) text.remove_suffix(1);
  return text;
}

bool ListHolds(std::string_view list, std::string_view token) {
  while (!list.empty()) {
    const size_t end = std::min(list.find(','), list.size());
    if (EqualsIgnoreCase(Trim(list.substr(0, end)), token)) return true;
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return false;
}

bool IsHostChar(char c) { return IsAlphanumeric(c) || IsOneOf(c, ".-_:[]%~!$&'()*+;="); }

std::optional<uint64_t> ReadChunkSize(std::string_view line) {
  constexpr size_t kMaxDigits = 16;  // of 64 bits
  uint64_t size = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), size, 16);
  const auto num_digits = static_cast<size_t>(end - line.data());
  if (error != std::errc() || num_digits > kMaxDigits) return std::nullopt;
  line.remove_prefix(num_digits);
  while (!line.empty()) {
    if (!TakeExtension(line)) return std::nullopt;
  }
  return size;
}

}  // namespace dray::http
