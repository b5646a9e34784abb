#include "tokenizer/text/time_checks.h"

#include <algorithm>
#include <cctype>
#include <vector>

namespace dray::tokenizer {
namespace {

constexpr std::string_view kCheck = "(?{t})";
// A pattern of that size can look at one place of the text some 500 times, with as many assertions; published
// ones are smaller.
constexpr size_t kMaxUncheckedBytes = 1024;

// Reads a pattern from left to right. It need not be valid: the library will tell.
class PatternReader {
 public:
  explicit PatternReader(std::string_view pattern)
      : pattern_(pattern), is_bounded_(pattern.size() <= kMaxUncheckedBytes) {}

  Result<CheckedPattern> Run() {
    while (pos_ < pattern_.size()) {
      const char c = pattern_[pos_];
      if (c == '(') {
        DRAY_RETURN_IF_ERROR(CopyGroupHead());
      } else if (c == '\\') {
        CopyEscape();
      } else if (c == '[') {
        CopyAtom(ClassEnd(), false);
      } else if (c == '{' && IntervalEnd() > pos_) {
        CopyInterval();
      } else if (std::string_view("*+?|)^$").find(c) != std::string_view::npos) {
        CopyOperator(c);
      } else {
        CopyAtom(CharEnd(pos_), false);
      }
    }
    return CheckedPattern{std::move(out_), is_bounded_};
  }

 private:
  // What stands before the current place, as far as a repetition count needs to know.
  enum class Before { kText, kOther };

  char At(size_t pos) const { return pos < pattern_.size() ? pattern_[pos] : '\0'; }
  bool Is(size_t pos, std::string_view text) const {
    return pos <= pattern_.size() && pattern_.substr(pos).starts_with(text);
  }
  // Behind the first `close` at or after `pos`, or the pattern's end.
  size_t Behind(char close, size_t pos) const {
    while (pos < pattern_.size() && pattern_[pos] != close) pos += pattern_[pos] == '\\' ? 2 : 1;
    return std::min(pos + 1, pattern_.size());
  }
  size_t CharEnd(size_t pos) const {
    ++pos;
    while ((static_cast<unsigned char>(At(pos)) & 0xC0) == 0x80) ++pos;
    return std::min(pos, pattern_.size());
  }

  void Copy(size_t end) {
    out_ += pattern_.substr(pos_, end - pos_);
    pos_ = end;
  }

  // Copies one atom up to `end`, with a check in front if it can take long. The library reads \R and
  // \X in another way behind a check; they stay without.
  void CopyAtom(size_t end, bool long_alone) {
    const char next = At(end);
    const bool repeated = next == '*' || next == '+' || next == '{';
    const bool fragile = Is(pos_, "\\R") || Is(pos_, "\\X");
    if (long_alone || (repeated && !fragile)) out_ += kCheck;
    Copy(end);
    before_ = Before::kText;
  }

  void CopyEscape() {
    constexpr std::string_view kOneCharacter = "dDwWsShHpPtnrfvaexu";
    constexpr std::string_view kAnchors = "bBAzZ";
    const char kind = At(pos_ + 1);
    const bool is_sign = std::ispunct(static_cast<unsigned char>(kind)) != 0;
    const bool is_anchor = kAnchors.find(kind) != std::string_view::npos;
    if (!is_sign && !is_anchor && kOneCharacter.find(kind) == std::string_view::npos) {
      is_bounded_ = false;
    }
    CopyAtom(EscapeEnd(), IsBackReference());
    if (is_anchor) before_ = Before::kOther;
  }

  void CopyInterval() {
    // Of a group or an assertion, a count repeats what may take no text.
    if (before_ == Before::kOther) is_bounded_ = false;
    NoteRepetition();
    Copy(IntervalEnd());
    before_ = Before::kOther;
  }

  void CopyOperator(char c) {
    if (c == '*' || c == '+') NoteRepetition();
    if (c == ')' && !groups_.empty()) groups_.pop_back();
    Copy(pos_ + 1);
    before_ = Before::kOther;
  }

  void NoteRepetition() {
    const auto look_around = std::find(groups_.begin(), groups_.end(), Group::kLookAround);
    if (look_around != groups_.end()) is_bounded_ = false;
  }

  bool IsBackReference() const {
    const char kind = At(pos_ + 1);
    return (kind >= '1' && kind <= '9') || kind == 'k' || kind == 'g';
  }

  // Behind the run of at most `limit` digits (octal and decimal, or hexadecimal ones) at `pos`.
  size_t DigitsEnd(size_t pos, size_t limit, bool hexadecimal) const {
    const std::string_view digits = hexadecimal ? "0123456789abcdefABCDEF" : "0123456789";
    const size_t end = std::min(pattern_.size(), pos + limit);
    while (pos < end && digits.find(pattern_[pos]) != std::string_view::npos) ++pos;
    return pos;
  }

  // Behind the quantifier that begins here ("{2}", "{2,}", "{,3}"), or here if there is none: then
  // the brace stands for itself.
  size_t IntervalEnd() const {
    const size_t end = pattern_.find_first_not_of("0123456789,", pos_ + 1);
    const bool interval = end != std::string_view::npos && pattern_[end] == '}' && end > pos_ + 1;
    return interval ? end + 1 : pos_;
  }

  size_t EscapeEnd() const {
    const size_t body = pos_ + 2;
    const char kind = At(pos_ + 1);
    const char open = At(body);
    if (open == '{' && std::string_view("pPxo").find(kind) != std::string_view::npos) {
      return Behind('}', body);
    }
    if ((kind == 'k' || kind == 'g') && (open == '<' || open == '\'')) {
      return Behind(open == '<' ? '>' : '\'', body + 1);
    }
    if (kind == 'x') return DigitsEnd(body, 2, true);
    if (kind == 'u') return DigitsEnd(body, 4, true);
    if (kind >= '0' && kind <= '9') return DigitsEnd(body, pattern_.size(), false);
    if (kind == 'c') return CharEnd(body);                                      // \cA
    if ((kind == 'C' || kind == 'M') && open == '-') return CharEnd(body + 1);  // \C-A, \M-A
    return CharEnd(pos_ + 1);
  }

  // Behind the class that begins here; classes stand in classes.
  size_t ClassEnd() const {
    size_t depth = 0;
    size_t pos = pos_;
    while (pos < pattern_.size()) {
      const char c = pattern_[pos];
      if (c == '\\') {
        pos += 2;
      } else if (Is(pos, "[:") && pattern_.find(":]", pos) != std::string_view::npos && depth > 0) {
        pos = pattern_.find(":]", pos) + 2;
      } else if (c == '[') {
        ++depth;
        pos += At(pos + 1) == '^' ? 2 : 1;
        if (At(pos) == ']') ++pos;  // the first one is a character
      } else {
        ++pos;
        if (c == ']' && --depth == 0) return pos;
      }
    }
    return pattern_.size();
  }

  // Copies what opens a group: "(", "(?:", "(?<name>", "(?i:", ... or all of "(?i)", "(*FAIL)".
  Status CopyGroupHead() {
    size_t end = pos_ + 1;
    bool comment = false;
    if (At(end) == '*') {
      is_bounded_ = false;
      end = Behind(')', end);
    } else if (At(end) == '?') {
      ++end;
      const char kind = At(end);
      if (kind == '{') return Refuse("calls (?{...})");
      if (kind == '(' || kind == '~') is_bounded_ = false;
      comment = kind == '#';
      if (comment || kind == '(') {  // "(?#...)", or the condition of "(?(...)yes|no)"
        end = Behind(')', end);
      } else if (Is(end, "<=") || Is(end, "<!")) {
        end += 2;
      } else if (kind == '<' || kind == '\'') {
        end = Behind(kind == '<' ? '>' : '\'', end + 1);
      } else if (std::string_view(":=!>~").find(kind) != std::string_view::npos) {
        ++end;
      } else {
        DRAY_ASSIGN_OR_RETURN(end, OptionsEnd(end));
      }
    }
    end = std::min(end, pattern_.size());
    if (!comment) out_ += kCheck;
    // "(?i)", "(*FAIL)" and comments are whole already.
    if (pattern_[end - 1] != ')') {
      const std::string_view head = pattern_.substr(pos_, end - pos_);
      const bool looks = head == "(?=" || head == "(?!" || head == "(?<=" || head == "(?<!";
      groups_.push_back(looks ? Group::kLookAround : Group::kOther);
    }
    Copy(end);
    before_ = Before::kOther;
    return OkStatus();
  }

  // Behind the options' colon or parenthesis: "i-m:" or "i)".
  Result<size_t> OptionsEnd(size_t pos) const {
    bool on = true;
    for (; pos < pattern_.size(); ++pos) {
      const char c = pattern_[pos];
      if (c == ':' || c == ')') return pos + 1;
      if (c == '-') on = false;
      if (c == 'x' && on) return Refuse("extended mode (?x)");
    }
    return pos;
  }

  static Status Refuse(std::string_view what) {
    return {StatusCode::kUnsupported,
            "the pattern has " + std::string(what) + ", which dray does not read"};
  }

  enum class Group { kLookAround, kOther };

  std::string_view pattern_;
  size_t pos_ = 0;
  std::string out_;
  std::vector<Group> groups_;  // those that are open
  Before before_ = Before::kOther;
  bool is_bounded_;
};

}  // namespace

Result<CheckedPattern> WithTimeChecks(std::string_view pattern) {
  return PatternReader(pattern).Run();
}

}  // namespace dray::tokenizer
