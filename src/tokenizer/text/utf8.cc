#include "tokenizer/text/utf8.h"

namespace dray::tokenizer {

Utf8Step NextUtf8(std::string_view bytes) {
  using Kind = Utf8Step::Kind;
  const auto at = [&](size_t i) { return static_cast<uint8_t>(bytes[i]); };
  const uint8_t lead = at(0);
  if (lead < 0x80) return {Kind::kChar, 1};
  // The range of the second byte excludes overlong forms, surrogates and what lies above U+10FFFF.
  uint32_t length = 0;
  uint8_t low = 0x80;
  uint8_t high = 0xBF;
  if (lead >= 0xC2 && lead <= 0xDF) {
    length = 2;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    length = 3;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    length = 4;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
  } else {
    return {Kind::kInvalid, 1};
  }
  for (uint32_t i = 1; i < length; ++i) {
    if (i == bytes.size()) return {Kind::kIncomplete, i};
    const uint8_t byte = at(i);
    if (byte < low || byte > high) return {Kind::kInvalid, i};
    low = 0x80;
    high = 0xBF;
  }
  return {Kind::kChar, length};
}

bool IsValidUtf8(std::string_view text) {
  size_t pos = 0;
  while (pos < text.size()) {
    const Utf8Step step = NextUtf8(text.substr(pos));
    if (step.kind != Utf8Step::Kind::kChar) return false;
    pos += step.length;
  }
  return true;
}

size_t CountChars(std::string_view text) {
  size_t count = 0;
  for (const char byte : text) count += IsContinuation(byte) ? 0 : 1;
  return count;
}

std::string ReplaceInvalidUtf8(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  size_t pos = 0;
  while (pos < bytes.size()) {
    const Utf8Step step = NextUtf8(bytes.substr(pos));
    if (step.kind == Utf8Step::Kind::kChar) {
      out.append(bytes, pos, step.length);
    } else {
      out += kReplacementUtf8;
    }
    pos += step.length;
  }
  return out;
}

size_t CharBoundaryBefore(std::string_view text, size_t limit) {
  if (limit >= text.size()) return text.size();
  while (limit > 0 && IsContinuation(text[limit])) --limit;
  return limit;
}

}  // namespace dray::tokenizer
