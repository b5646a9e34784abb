#include "tokenizer/text/regex.h"

#include <gtest/gtest.h>

#include <chrono>
#include <ctime>
#include <string>

#include "tokenizer/text/time_checks.h"

namespace dray::tokenizer {
namespace {

using Parts = std::vector<std::pair<std::string, bool>>;

Parts FindAll(std::string_view pattern, std::string_view text) {
  const auto regex = Regex::Compile(pattern);
  EXPECT_TRUE(regex.ok()) << regex.status().message();
  WorkBudget budget(1 << 20);
  std::vector<Match> matches;
  EXPECT_TRUE(regex->FindAll(text, budget, matches).ok());
  Parts parts;
  for (const Match& match : matches) {
    parts.emplace_back(text.substr(match.begin, match.end - match.begin), match.is_match);
  }
  return parts;
}

TEST(RegexTest, CoversTheText) {
  EXPECT_EQ(FindAll("[0-9]+", "a12b3"),
            (Parts{{"a", false}, {"12", true}, {"b", false}, {"3", true}}));
  EXPECT_EQ(FindAll("x", "abc"), (Parts{{"abc", false}}));
  EXPECT_EQ(FindAll("x", ""), (Parts{{"", false}}));
}

TEST(RegexTest, EmptyMatchesStandBetweenCharacters) {
  EXPECT_EQ(FindAll("", "aé"),
            (Parts{{"", true}, {"a", false}, {"", true}, {"é", false}, {"", true}}));
  EXPECT_EQ(FindAll("b*", "abb"), (Parts{{"", true}, {"a", false}, {"bb", true}}));
}

TEST(RegexTest, RefusesWhatDoesNotCompile) {
  for (const std::string& pattern : {std::string("("), std::string("[a"), std::string("\\p{Nope}"),
                                     std::string(20000, 'a'), std::string(2000, '(')}) {
    const auto regex = Regex::Compile(pattern);
    ASSERT_FALSE(regex.ok()) << pattern.substr(0, 20);
    EXPECT_NE(regex.status().message().find("the pattern"), std::string::npos);
  }
}

TEST(RegexTest, GivesUpOnRunawayPatterns) {
  const std::string text = std::string(40, 'a') + "!";
  for (const char* pattern : {"(a+)+$", "(a|a)*$", "(a|aa)+$", "(.*)*x", "(?:a*)*?b"}) {
    const auto regex = Regex::Compile(pattern);
    ASSERT_TRUE(regex.ok());
    const auto start = std::chrono::steady_clock::now();
    WorkBudget budget(1 << 20);
    std::vector<Match> matches;
    const Status status = regex->FindAll(text, budget, matches);
    const auto took = std::chrono::steady_clock::now() - start;
    EXPECT_LT(took, std::chrono::seconds(30)) << pattern;
    EXPECT_TRUE(status.ok() || status.code() == StatusCode::kDeadlineExceeded) << pattern;
  }
  const auto regex = Regex::Compile("(a+)+$");
  WorkBudget budget(1 << 20);
  std::vector<Match> matches;
  EXPECT_FALSE(regex->FindAll(text, budget, matches).ok());
}

// What a pattern can do within one search without a single back-track: only the clock ends it.
TEST(RegexTest, AnySearchEndsWithinItsBudget) {
  const std::string run(200'000, 'a');
  std::string words;
  for (int i = 0; i < 100'000; ++i) words += "a b";
  struct Case {
    const char* pattern;
    const std::string& text;
  };
  const Case cases[] = {
      {R"((?=(a+))\1+b)", run},
      {R"((?:a(?=(a*)))*b)", run},
      {R"((?>a*)b|(?>a*)c|(?>a*)d)", run},
      {R"((?<n>a+)(?=\k<n>*)(?:x|\k<n>+y))", run},
      {R"((?:a|(?:aa)*+b)*c)", run},
      {R"([ab]*\s*[ab]*\s*+[ab]*c)", words},
      {R"((?:\w+ ?)*+(?=(.*))\d)", words},
      {R"((?<=a*)c)", run},
      {R"((?:(?~b)|a)*?b)", run},
      {R"(a*+b|a*+c|a*+d)", run},
      {R"(a+$|a+b|[ab]+c)", run},
      {R"((?:a+ ?)*+b)", run},
      {R"(\s*\w*\s*\w*!)", words},
  };
  for (const Case& one : cases) {
    const auto regex = Regex::Compile(one.pattern);
    ASSERT_TRUE(regex.ok()) << one.pattern << regex.status().message();
    WorkBudget budget(one.text.size());
    std::vector<Match> matches;
    const std::clock_t start = std::clock();
    const Status status = regex->FindAll(one.text, budget, matches);
    // The budget is 1.2 s or 1.3 s of processor time; without an end these take minutes or hours.
    EXPECT_LT(static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC, 20.0) << one.pattern;
    EXPECT_TRUE(status.ok() || status.code() == StatusCode::kDeadlineExceeded) << one.pattern;
  }
}

TEST(RegexTest, ChecksStandBetweenAtomsAlone) {
  // Forms in which a check at the wrong place would change the meaning, or not compile.
  EXPECT_EQ(FindAll(R"(\x41+|\u0042*C)", "AAC"), (Parts{{"AA", true}, {"C", true}}));
  EXPECT_EQ(FindAll(R"(\x{1F600}+|\p{Lu}+)", "😀😀Éa"),
            (Parts{{"😀😀", true}, {"É", true}, {"a", false}}));
  EXPECT_EQ(FindAll(R"([]a]+|[^]a]+)", "]a-"), (Parts{{"]a", true}, {"-", true}}));
  EXPECT_EQ(FindAll(R"([[:alpha:]&&[^b]]{2,}|[(*]+)", "aacb(*"),
            (Parts{{"aac", true}, {"b", false}, {"(*", true}}));
  EXPECT_EQ(FindAll(R"((?<x>a)(?#a comment, with [ and \) in it)\k<x>+)", "aaab"),
            (Parts{{"aaa", true}, {"b", false}}));
  EXPECT_EQ(FindAll(R"((a)(b)?(?(2)c|d)*)", "abccadd"), (Parts{{"abcc", true}, {"add", true}}));
  EXPECT_EQ(FindAll(R"((?i:S)+é{2}|\{+|a{2}{2}|\t*x)", "sSéé{{aaaax"),
            (Parts{{"sSéé", true}, {"{{", true}, {"aaaa", true}, {"x", true}}));
  EXPECT_EQ(FindAll(R"((?<!a)b+|(?<=a)b(?!b))", "abbb"), (Parts{{"ab", false}, {"bb", true}}));
  EXPECT_EQ(FindAll(R"((a)\11?\1*|\012+)", "aa\n\n"), FindAll(R"((a)\11?(?:\1)*|\n+)", "aa\n\n"));
}

bool NeedsNoChecks(const std::string& pattern) {
  const auto checked = WithTimeChecks(pattern);
  EXPECT_TRUE(checked.ok()) << pattern;
  return checked.ok() && checked->is_bounded_by_back_tracks;
}

// The cut rules of published tokenizers.
constexpr const char* kPublished[] = {
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)",
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
    R"([\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+)",
    R"(\p{N}{1,3})",
    R"( ?[^(\s|[.,!?\x{2026}\x{3002}\x{FF0C}\x{3001}])]+)",
    R"(\s+$|^\s+|\w+|[^\w\s]+)",
};

TEST(RegexTest, PublishedPatternsNeedNoChecks) {
  for (const char* pattern : kPublished) EXPECT_TRUE(NeedsNoChecks(pattern)) << pattern;
}

// Where a search goes back in the text, or stays in place, without back-tracking.
TEST(RegexTest, WhatBackTracksDoNotBoundIsChecked) {
  for (const char* pattern : {R"((a)\1)",
                              R"((?<n>a)\k<n>)",
                              R"((?<n>a)\g<n>?)",
                              R"((?=a+)b)",
                              R"((?!a*b)c)",
                              R"((?<=a{2,})b)",
                              R"((?=(?:a|(b+)))c)",
                              R"((?=[ab]{3})c)",
                              R"((?:a?){3})",
                              R"((?:a?){3}{4})",
                              R"(\b{9})",
                              R"(^{9}a)",
                              R"(a{2}{3})",
                              R"(a+{3})",
                              R"((?~ab))",
                              R"((a)?(?(1)b|c))",
                              R"((*FAIL))",
                              R"(\X)",
                              R"(a\Kb)",
                              R"(\Ga)"}) {
    const auto checked = WithTimeChecks(pattern);
    ASSERT_TRUE(checked.ok()) << pattern;
    EXPECT_FALSE(checked->is_bounded_by_back_tracks) << pattern;
  }
  EXPECT_TRUE(NeedsNoChecks(std::string(1024, 'a')));
  EXPECT_FALSE(NeedsNoChecks(std::string(1025, 'a')));
  // What stands behind a look-around is outside of it.
  EXPECT_TRUE(NeedsNoChecks(R"((?=a)b+(?#x)(?i)c*(?<!\()d{2,})"));
}

// A search that needs many back-tracks goes on with checks and finds the same.
TEST(RegexTest, LongRunsAreCutAsShortOnes) {
  const std::string blanks(3000, ' ');
  EXPECT_EQ(FindAll(R"(\s+x|\s+(?!\S)|\w+)", "a" + blanks + "b"),
            (Parts{{"a", true}, {std::string(2999, ' '), true}, {" ", false}, {"b", true}}));
  EXPECT_EQ(
      FindAll(R"(\p{N}{1,3})", std::string(100'000, '.') + "1234" + blanks),
      (Parts{{std::string(100'000, '.'), false}, {"123", true}, {"4", true}, {blanks, false}}));
  EXPECT_EQ(FindAll(R"([ab]*c|a+)", std::string(2000, 'a') + "d"),
            (Parts{{std::string(2000, 'a'), true}, {"d", false}}));
  EXPECT_EQ(FindAll(R"(\s*[\r\n]+|\S+)", blanks + "\n" + blanks + "x"),
            (Parts{{blanks + "\n", true}, {blanks, false}, {"x", true}}));
  EXPECT_EQ(FindAll(R"(é+ü|é)", "éé" + blanks), (Parts{{"é", true}, {"é", true}, {blanks, false}}));
}

TEST(RegexTest, RefusesWhatTakesNoChecks) {
  for (const char* pattern : {"(?{x})a", "(?x) a # b", "(?ix:a b)", "a(?{{x}})"}) {
    const auto regex = Regex::Compile(pattern);
    ASSERT_FALSE(regex.ok()) << pattern;
    EXPECT_EQ(regex.status().code(), StatusCode::kUnsupported);
  }
  EXPECT_TRUE(Regex::Compile("(?i-x:a)").ok());
}

TEST(RegexTest, LiteralsAreFoundFromTheLeft) {
  std::vector<Match> matches;
  FindAllLiteral("aaabaa", "aa", matches);
  ASSERT_EQ(matches.size(), 3u);
  EXPECT_EQ(matches[0].end, 2u);
  EXPECT_FALSE(matches[1].is_match);
  EXPECT_EQ(matches[2].begin, 4u);
}

}  // namespace
}  // namespace dray::tokenizer
