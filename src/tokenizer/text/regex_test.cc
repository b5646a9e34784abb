#include "tokenizer/text/regex.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

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
