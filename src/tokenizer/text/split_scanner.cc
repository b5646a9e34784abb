#include "tokenizer/text/split_scanner.h"

#include <array>
#include <cstdint>

#include "tokenizer/text/unicode.h"
#include "tokenizer/text/utf8.h"

namespace dray::tokenizer {
namespace {

constexpr std::string_view kGpt2Text =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view kLlama3Text =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2Text =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// The four classes that the patterns tell apart; no character has two.
enum class Class : uint8_t { kLetter, kNumber, kSpace, kRest };

Class Classify(char32_t code) {
  if (IsLetter(code)) return Class::kLetter;
  if (IsNumber(code)) return Class::kNumber;
  return IsWhitespace(code) ? Class::kSpace : Class::kRest;
}

std::array<Class, 128> MakeAsciiClasses() {
  std::array<Class, 128> classes{};
  for (char32_t code = 0; code < 128; ++code) classes[code] = Classify(code);
  return classes;
}

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  struct Char {
    Class cls = Class::kRest;
    uint32_t bytes = 0;  // 0: the end of the text
  };

  Char At(size_t pos) const {
    if (pos >= text_.size()) return {};
    const auto byte = static_cast<uint8_t>(text_[pos]);
    if (byte < 0x80) return {kAscii[byte], 1};
    const DecodedChar c = DecodeChar(text_, pos);
    return {Classify(c.code), c.bytes};
  }

  // The end of the run of `cls` that starts at `pos`, at most `limit` characters of it.
  size_t RunEnd(size_t pos, Class cls, size_t limit = SIZE_MAX) const {
    for (size_t count = 0; count < limit; ++count) {
      const Char c = At(pos);
      if (c.bytes == 0 || c.cls != cls) break;
      pos += c.bytes;
    }
    return pos;
  }

  bool IsLineEnd(size_t pos) const {
    return pos < text_.size() && (text_[pos] == '\r' || text_[pos] == '\n');
  }
  bool IsBlank(size_t pos) const { return pos < text_.size() && text_[pos] == ' '; }

  // \s+(?!\S)|\s+ at `pos`, where there is white space: the whole run if the text ends there, else
  // all of it but its last character, else that character.
  size_t SpaceEnd(size_t pos) const {
    size_t last = pos;  // where the run's last character begins
    size_t end = pos;
    for (Char c = At(pos); c.bytes != 0 && c.cls == Class::kSpace; c = At(end)) {
      last = end;
      end += c.bytes;
    }
    return end == text_.size() || last == pos ? end : last;
  }

  // The end of 's 't 're 've 'm 'll 'd at `pos`, or `pos`.
  template <bool kAnyCase>
  size_t ContractionEnd(size_t pos) const {
    if (text_[pos] != '\'') return pos;
    const char first = Letter<kAnyCase>(pos + 1);
    if (first == 's' || first == 't' || first == 'm' || first == 'd') return pos + 2;
    const char second = Letter<kAnyCase>(pos + 2);
    if ((first == 'r' || first == 'v') && second == 'e') return pos + 3;
    if (first == 'l' && second == 'l') return pos + 3;
    // U+017F, the long s, is an s when case is ignored.
    if (kAnyCase && text_.substr(pos + 1, 2) == "\xC5\xBF") return pos + 3;
    return pos;
  }

  size_t NextGpt2(size_t pos) const {
    if (const size_t end = ContractionEnd<false>(pos); end != pos) return end;
    const size_t body = pos + (IsBlank(pos) ? 1 : 0);
    const Char c = At(body);
    if (c.bytes != 0 && c.cls != Class::kSpace) return RunEnd(body, c.cls);
    return SpaceEnd(pos);
  }

  size_t NextLlama3(size_t pos, size_t max_digits) const {
    if (const size_t end = ContractionEnd<true>(pos); end != pos) return end;
    const Char c = At(pos);
    if (c.cls == Class::kLetter) return RunEnd(pos, Class::kLetter);
    if (c.cls == Class::kNumber) return RunEnd(pos, Class::kNumber, max_digits);
    const Char next = At(pos + c.bytes);
    if (!IsLineEnd(pos) && next.bytes != 0 && next.cls == Class::kLetter) {
      return RunEnd(pos + c.bytes, Class::kLetter);
    }
    const size_t body = pos + (IsBlank(pos) ? 1 : 0);
    const Char first = At(body);
    if (first.bytes != 0 && first.cls == Class::kRest) {
      size_t end = RunEnd(body, Class::kRest);
      while (IsLineEnd(end)) ++end;
      return end;
    }
    return SpaceOrLinesEnd(pos);
  }

 private:
  // \s*[\r\n]+ first: up to the last line end of the run of white space, if it has one.
  size_t SpaceOrLinesEnd(size_t pos) const {
    size_t lines_end = pos;
    size_t end = pos;
    for (Char c = At(pos); c.bytes != 0 && c.cls == Class::kSpace; c = At(end)) {
      const bool is_line_end = IsLineEnd(end);
      end += c.bytes;
      if (is_line_end) lines_end = end;
    }
    return lines_end != pos ? lines_end : SpaceEnd(pos);
  }

  template <bool kAnyCase>
  char Letter(size_t pos) const {
    if (pos >= text_.size()) return 0;
    const char byte = text_[pos];
    return kAnyCase && byte >= 'A' && byte <= 'Z' ? static_cast<char>(byte | 0x20) : byte;
  }

  static const std::array<Class, 128> kAscii;
  std::string_view text_;
};

const std::array<Class, 128> Scanner::kAscii = MakeAsciiClasses();

}  // namespace

std::string_view PatternText(SplitPattern pattern) {
  switch (pattern) {
    case SplitPattern::kGpt2:
      return kGpt2Text;
    case SplitPattern::kLlama3:
      return kLlama3Text;
    case SplitPattern::kQwen2:
      return kQwen2Text;
  }
  return {};
}

std::optional<SplitPattern> FindScanner(std::string_view regex) {
  for (const auto pattern : {SplitPattern::kGpt2, SplitPattern::kLlama3, SplitPattern::kQwen2}) {
    if (regex == PatternText(pattern)) return pattern;
  }
  return std::nullopt;
}

void ScanSplits(SplitPattern pattern, std::string_view text, std::vector<size_t>& ends) {
  const Scanner scanner(text);
  size_t pos = 0;
  while (pos < text.size()) {
    switch (pattern) {
      case SplitPattern::kGpt2:
        pos = scanner.NextGpt2(pos);
        break;
      case SplitPattern::kLlama3:
        pos = scanner.NextLlama3(pos, 3);
        break;
      case SplitPattern::kQwen2:
        pos = scanner.NextLlama3(pos, 1);
        break;
    }
    ends.push_back(pos);
  }
}

}  // namespace dray::tokenizer
