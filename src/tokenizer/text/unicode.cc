#include "tokenizer/text/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdint>

#include "tokenizer/text/utf8.h"

namespace dray::tokenizer {
namespace {

utf8proc_category_t Category(char32_t code) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(code));
}

constexpr uint32_t Bit(utf8proc_category_t category) { return 1u << category; }

bool HasCategory(char32_t code, uint32_t mask) { return (mask & Bit(Category(code))) != 0; }

constexpr uint32_t kLetters = Bit(UTF8PROC_CATEGORY_LU) | Bit(UTF8PROC_CATEGORY_LL) |
                              Bit(UTF8PROC_CATEGORY_LT) | Bit(UTF8PROC_CATEGORY_LM) |
                              Bit(UTF8PROC_CATEGORY_LO);
constexpr uint32_t kMarks =
    Bit(UTF8PROC_CATEGORY_MN) | Bit(UTF8PROC_CATEGORY_MC) | Bit(UTF8PROC_CATEGORY_ME);
constexpr uint32_t kNumbers =
    Bit(UTF8PROC_CATEGORY_ND) | Bit(UTF8PROC_CATEGORY_NL) | Bit(UTF8PROC_CATEGORY_NO);
constexpr uint32_t kPunctuation = Bit(UTF8PROC_CATEGORY_PC) | Bit(UTF8PROC_CATEGORY_PD) |
                                  Bit(UTF8PROC_CATEGORY_PS) | Bit(UTF8PROC_CATEGORY_PE) |
                                  Bit(UTF8PROC_CATEGORY_PI) | Bit(UTF8PROC_CATEGORY_PF) |
                                  Bit(UTF8PROC_CATEGORY_PO);

constexpr bool In(char32_t code, char32_t low, char32_t high) {
  return code >= low && code <= high;
}

// Symbols (category So) that carry the Alphabetic property.
bool IsAlphabeticSymbol(char32_t code) {
  return In(code, 0x24B6, 0x24E9) || In(code, 0x1F130, 0x1F149) || In(code, 0x1F150, 0x1F169) ||
         In(code, 0x1F170, 0x1F189);
}

int CombiningClass(utf8proc_int32_t code) { return utf8proc_get_property(code)->combining_class; }

std::vector<utf8proc_int32_t> Decompose(std::string_view text, utf8proc_option_t options) {
  std::vector<utf8proc_int32_t> codes;
  codes.reserve(text.size());
  utf8proc_int32_t expanded[32];  // the longest compatibility decomposition is 18 characters
  int boundary = 0;
  for (size_t pos = 0; pos < text.size();) {
    const DecodedChar c = DecodeChar(text, pos);
    pos += c.bytes;
    const auto code = static_cast<utf8proc_int32_t>(c.code);
    const utf8proc_ssize_t count = utf8proc_decompose_char(code, expanded, 32, options, &boundary);
    if (count <= 0 || count > 32) {
      codes.push_back(code);
    } else {
      codes.insert(codes.end(), expanded, expanded + count);
    }
  }
  return codes;
}

// Canonical ordering. A sort per run of marks: the library's own loop is quadratic in
// a run's length.
void OrderMarks(std::vector<utf8proc_int32_t>& codes) {
  const auto by_class = [](utf8proc_int32_t a, utf8proc_int32_t b) {
    return CombiningClass(a) < CombiningClass(b);
  };
  for (size_t begin = 0; begin < codes.size();) {
    if (CombiningClass(codes[begin]) == 0) {
      ++begin;
      continue;
    }
    size_t end = begin + 1;
    while (end < codes.size() && CombiningClass(codes[end]) != 0) ++end;
    std::stable_sort(codes.begin() + static_cast<ptrdiff_t>(begin),
                     codes.begin() + static_cast<ptrdiff_t>(end), by_class);
    begin = end;
  }
}

// A character below this is the same in the normal form, whatever its neighbours are, if the next
// character is below it too. The first characters that decompose are U+00A0 (compatibility) and
// U+00C0; the first that composes with the character before it is U+0300.
char32_t FirstAffected(NormalForm form) {
  switch (form) {
    case NormalForm::kNfc:
      return 0x300;
    case NormalForm::kNfd:
      return 0xC0;
    case NormalForm::kNfkc:
    case NormalForm::kNfkd:
      return 0xA0;
  }
  return 0;
}

bool IsUnaffected(std::string_view text, char32_t first_affected) {
  for (size_t pos = 0; pos < text.size();) {
    const DecodedChar c = DecodeChar(text, pos);
    if (c.code >= first_affected) return false;
    pos += c.bytes;
  }
  return true;
}

}  // namespace

bool IsWhitespace(char32_t code) {
  if (code <= 0x20) return code == 0x20 || In(code, 0x09, 0x0D);
  if (code < 0x85) return false;
  return code == 0x85 || code == 0xA0 || code == 0x1680 || In(code, 0x2000, 0x200A) ||
         code == 0x2028 || code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

bool IsLetter(char32_t code) {
  if (code < 0x80) return In(code | 0x20, 'a', 'z');
  return HasCategory(code, kLetters);
}

bool IsNumber(char32_t code) {
  if (code < 0x80) return In(code, '0', '9');
  return HasCategory(code, kNumbers);
}

bool IsWord(char32_t code) {
  if (code < 0x80) return In(code | 0x20, 'a', 'z') || In(code, '0', '9') || code == '_';
  if (code == 0x200C || code == 0x200D || IsAlphabeticSymbol(code)) return true;
  return HasCategory(code, kLetters | kMarks | Bit(UTF8PROC_CATEGORY_ND) |
                               Bit(UTF8PROC_CATEGORY_NL) | Bit(UTF8PROC_CATEGORY_PC));
}

bool IsMark(char32_t code) { return HasCategory(code, kMarks); }

bool IsNonSpacingMark(char32_t code) { return HasCategory(code, Bit(UTF8PROC_CATEGORY_MN)); }

bool IsPunctuation(char32_t code) {
  if (code < 0x80) {
    return In(code, '!', '/') || In(code, ':', '@') || In(code, '[', '`') || In(code, '{', '~');
  }
  return HasCategory(code, kPunctuation);
}

bool IsOther(char32_t code) {
  return HasCategory(code, Bit(UTF8PROC_CATEGORY_CC) | Bit(UTF8PROC_CATEGORY_CF) |
                               Bit(UTF8PROC_CATEGORY_CO) | Bit(UTF8PROC_CATEGORY_CS));
}

void AppendLowercase(char32_t code, std::string& out) {
  if (code == 0x130) {  // the one character whose lower case is two
    out += "i\xCC\x87";
    return;
  }
  AppendUtf8(static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code))), out);
}

std::string Normalize(std::string_view text, NormalForm form) {
  if (IsUnaffected(text, FirstAffected(form))) return std::string(text);
  const bool compat = form == NormalForm::kNfkc || form == NormalForm::kNfkd;
  const bool compose = form == NormalForm::kNfc || form == NormalForm::kNfkc;
  const int decompose_options = UTF8PROC_DECOMPOSE | (compat ? UTF8PROC_COMPAT : 0);
  auto codes = Decompose(text, static_cast<utf8proc_option_t>(decompose_options));
  OrderMarks(codes);
  size_t count = codes.size();
  if (compose) {
    const auto options = static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE);
    const utf8proc_ssize_t composed =
        utf8proc_normalize_utf32(codes.data(), static_cast<utf8proc_ssize_t>(count), options);
    if (composed >= 0) count = static_cast<size_t>(composed);
  }
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < count; ++i) AppendUtf8(static_cast<char32_t>(codes[i]), out);
  return out;
}

std::vector<size_t> GraphemeEnds(std::string_view text) {
  std::vector<size_t> ends;
  if (text.empty()) return ends;
  utf8proc_int32_t state = 0;
  DecodedChar previous = DecodeChar(text, 0);
  for (size_t pos = previous.bytes; pos < text.size();) {
    const DecodedChar next = DecodeChar(text, pos);
    if (utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(previous.code),
                                         static_cast<utf8proc_int32_t>(next.code), &state)) {
      ends.push_back(pos);
    }
    pos += next.bytes;
    previous = next;
  }
  ends.push_back(text.size());
  return ends;
}

}  // namespace dray::tokenizer
