// UTF-8 in both directions. Separate from unicode.h because it needs no character database and is
// on the hot path of every stage.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/parse/append_utf8.h"

namespace dray::tokenizer {

// A code point and how many bytes it took.
struct DecodedChar {
  char32_t code = 0;
  uint32_t bytes = 0;
};

inline constexpr char32_t kReplacementChar = 0xFFFD;
inline constexpr std::string_view kReplacementUtf8 = "\xEF\xBF\xBD";

// The character at `text[pos]`. `text` must be valid UTF-8 and `pos` on a character's first byte.
inline DecodedChar DecodeChar(std::string_view text, size_t pos) {
  const auto byte = [&](size_t i) {
    return static_cast<char32_t>(static_cast<uint8_t>(text[pos + i]));
  };
  const char32_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  if (lead < 0xE0) return {((lead & 0x1F) << 6) | (byte(1) & 0x3F), 2};
  if (lead < 0xF0) {
    return {((lead & 0x0F) << 12) | ((byte(1) & 0x3F) << 6) | (byte(2) & 0x3F), 3};
  }
  return {
      ((lead & 0x07) << 18) | ((byte(1) & 0x3F) << 12) | ((byte(2) & 0x3F) << 6) | (byte(3) & 0x3F),
      4};
}

// Whether the byte continues a character, that is, may not start one.
inline bool IsContinuation(char byte) { return (static_cast<uint8_t>(byte) & 0xC0) == 0x80; }

bool IsValidUtf8(std::string_view text);
size_t CountChars(std::string_view text);

// What the bytes at the start of `bytes` are. kIncomplete: a proper prefix of a character that
// reaches the end of `bytes`. kInvalid: `length` bytes that together become one U+FFFD, as in
// Python's errors="replace" and the Unicode standard's practice (a "maximal subpart").
struct Utf8Step {
  enum class Kind { kChar, kInvalid, kIncomplete } kind;
  uint32_t length;
};
Utf8Step NextUtf8(std::string_view bytes);

// `bytes` with every invalid part replaced by U+FFFD.
std::string ReplaceInvalidUtf8(std::string_view bytes);

// The length of the longest prefix of `text` that is at most `limit` bytes and
// ends between characters.
size_t CharBoundaryBefore(std::string_view text, size_t limit);

}  // namespace dray::tokenizer
