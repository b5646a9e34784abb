#include "tokenizer/text/split_scanner.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "tokenizer/text/regex.h"
#include "tokenizer/text/unicode.h"
#include "tokenizer/text/utf8.h"

namespace dray::tokenizer {
namespace {

constexpr SplitPattern kPatterns[] = {SplitPattern::kGpt2, SplitPattern::kLlama3,
                                      SplitPattern::kQwen2};

std::vector<std::string> Scan(SplitPattern pattern, std::string_view text) {
  std::vector<size_t> ends;
  ScanSplits(pattern, text, ends);
  std::vector<std::string> parts;
  size_t begin = 0;
  for (const size_t end : ends) {
    parts.emplace_back(text.substr(begin, end - begin));
    begin = end;
  }
  return parts;
}

std::vector<std::string> Match(const Regex& regex, std::string_view text) {
  WorkBudget budget(1 << 20);
  std::vector<tokenizer::Match> matches;
  EXPECT_TRUE(regex.FindAll(text, budget, matches).ok());
  std::vector<std::string> parts;
  for (const auto& match : matches) {
    if (match.begin < match.end)
      parts.emplace_back(text.substr(match.begin, match.end - match.begin));
  }
  return parts;
}

TEST(SplitScannerTest, KnowsItsPatterns) {
  for (const SplitPattern pattern : kPatterns) {
    EXPECT_EQ(FindScanner(PatternText(pattern)), pattern);
    EXPECT_TRUE(Regex::Compile(PatternText(pattern)).ok());
  }
  EXPECT_FALSE(FindScanner("\\s+").has_value());
}

TEST(SplitScannerTest, CutsAsKnown) {
  using Parts = std::vector<std::string>;
  EXPECT_EQ(Scan(SplitPattern::kGpt2, "I'm  here 123!?\n\n x"),
            (Parts{"I", "'m", " ", " here", " 123", "!?", "\n\n", " x"}));
  EXPECT_EQ(Scan(SplitPattern::kLlama3, "I'M  12345!\n\n x\t\ty "),
            (Parts{"I", "'M", " ", " ", "123", "45", "!\n\n", " x", "\t", "\ty", " "}));
  EXPECT_EQ(Scan(SplitPattern::kQwen2, "a12  \n b"), (Parts{"a", "1", "2", "  \n", " b"}));
}

// Characters on which the scanner's and the expression's databases (of different
// Unicode versions) agree.
class Characters {
 public:
  Characters() {
    const auto letter = Regex::Compile("\\p{L}");
    const auto number = Regex::Compile("\\p{N}");
    const auto space = Regex::Compile("\\s");
    for (char32_t code = 1; code < 0x110000; ++code) {
      if (code >= 0xD800 && code < 0xE000) continue;
      std::string text;
      AppendUtf8(code, text);
      const bool agree = Matches(*letter, text) == IsLetter(code) &&
                         Matches(*number, text) == IsNumber(code) &&
                         Matches(*space, text) == IsWhitespace(code);
      if (agree) {
        known_.push_back(code);
      } else {
        ++disputed_;
      }
      if (code == 0x2FFFF) code = 0xE0000 - 1;  // nothing but reserved planes between
      if (code == 0xE01FF) break;
    }
  }
  const std::vector<char32_t>& known() const { return known_; }
  size_t disputed() const { return disputed_; }

 private:
  static bool Matches(const Regex& regex, std::string_view text) {
    WorkBudget budget(1 << 20);
    std::vector<tokenizer::Match> matches;
    EXPECT_TRUE(regex.FindAll(text, budget, matches).ok());
    return matches.front().is_match;
  }
  std::vector<char32_t> known_;
  size_t disputed_ = 0;
};

TEST(SplitScannerTest, EqualsTheExpressions) {
  const Characters characters;
  // CJK extensions and the like that one of the two libraries is too old for.
  EXPECT_LT(characters.disputed(), 10000u);
  const auto& known = characters.known();
  ASSERT_GT(known.size(), 190000u);
  constexpr std::string_view kCommon[] = {" ",  "  ",  "\n", "\r",       "\t",       "'",
                                          "'s", "'LL", "a",  "Zq",       "\xC5\xBF", "7",
                                          "42", "-",   "!?", "\xC2\xA0", "e\xCC\x81"};
  std::mt19937 random(11);
  for (const SplitPattern pattern : kPatterns) {
    const auto regex = Regex::Compile(PatternText(pattern));
    ASSERT_TRUE(regex.ok());
    for (size_t at = 0; at < known.size();) {  // every character, among common ones
      std::string text;
      for (int i = 0; i < 40 && at < known.size(); ++i) {
        if (random() % 2 == 0) text += kCommon[random() % std::size(kCommon)];
        AppendUtf8(known[at++], text);
        if (random() % 8 == 0) text += kCommon[random() % std::size(kCommon)];
      }
      ASSERT_EQ(Scan(pattern, text), Match(*regex, text)) << text;
    }
    for (int round = 0; round < 4000; ++round) {  // common ones among themselves
      std::string text;
      for (uint32_t i = 0, size = random() % 14; i < size; ++i) {
        text += kCommon[random() % std::size(kCommon)];
      }
      ASSERT_EQ(Scan(pattern, text), Match(*regex, text)) << text;
    }
  }
}

}  // namespace
}  // namespace dray::tokenizer
