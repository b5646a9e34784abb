#include "sampling/stop_checker.h"

#include <gtest/gtest.h>

#include <random>

namespace dray::sampling {
namespace {

using Strings = std::vector<std::string>;

// Pushes the pieces. Returns the outputs, each followed by "|".
std::string Outputs(StopChecker& checker, const Strings& pieces) {
  std::string all;
  for (const std::string& piece : pieces) all += std::string(checker.Push(piece)) + "|";
  return all;
}

TEST(StopCheckerTest, PassesTextWithoutStopStrings) {
  StopChecker checker(Strings{}, StopText::kExclude);
  EXPECT_EQ(Outputs(checker, {"Hello", " wor", "ld"}), "Hello| wor|ld|");
  EXPECT_FALSE(checker.stopped());
  EXPECT_EQ(checker.Flush(), "");
}

TEST(StopCheckerTest, HoldsBackOnlyWhatMayBecomeAStopString) {
  StopChecker checker(Strings{"STOP"}, StopText::kExclude);
  EXPECT_EQ(Outputs(checker, {"a S", "T", "x", "ST", "S", "TOP b", "c"}), "a ||STx||ST|||");
  EXPECT_TRUE(checker.stopped());
  EXPECT_EQ(checker.stop_index(), 0);
  EXPECT_EQ(checker.Flush(), "");
}

TEST(StopCheckerTest, IncludesTheStopStringIfAsked) {
  StopChecker checker(Strings{"\n\n"}, StopText::kInclude);
  EXPECT_EQ(Outputs(checker, {"one\n", "two\n", "\nthree"}), "one|\ntwo|\n\n|");
  EXPECT_TRUE(checker.stopped());
}

TEST(StopCheckerTest, FlushReturnsTheRest) {
  StopChecker checker(Strings{"</s>"}, StopText::kExclude);
  EXPECT_EQ(Outputs(checker, {"end</"}), "end|");
  EXPECT_EQ(checker.Flush(), "</");
  EXPECT_EQ(checker.Flush(), "");
}

TEST(StopCheckerTest, FirstCompleteThenLongestWins) {
  StopChecker first(Strings{"bcd", "bc"}, StopText::kExclude);
  EXPECT_EQ(first.Push("abcd"), "a");
  EXPECT_EQ(first.stop_index(), 1);
  StopChecker longest(Strings{"c", "abc", "bc"}, StopText::kExclude);
  EXPECT_EQ(longest.Push("xabc"), "x");
  EXPECT_EQ(longest.stop_index(), 1);
}

TEST(StopCheckerTest, OverlappingStartsAreFound) {
  StopChecker checker(Strings{"aab"}, StopText::kExclude);
  EXPECT_EQ(Outputs(checker, {"a", "a", "a", "b"}), "||a||");
  EXPECT_TRUE(checker.stopped());
}

TEST(StopCheckerTest, CharactersAreNeverTorn) {
  StopChecker checker(Strings{"\u00e9!"}, StopText::kExclude);
  EXPECT_EQ(Outputs(checker, {"\u00e8", "\u00e9", "?"}), "\u00e8||\u00e9?|");
}

// The definition: the text ends at the first place where some stop string is complete.
std::string Reference(const std::string& text, const Strings& stops, StopText mode) {
  for (size_t end = 1; end <= text.size(); ++end) {
    size_t longest = 0;
    for (const std::string& stop : stops) {
      if (std::string_view{text}.substr(0, end).ends_with(stop)) {
        longest = std::max(longest, stop.size());
      }
    }
    if (longest > 0) return text.substr(0, mode == StopText::kInclude ? end : end - longest);
  }
  return text;
}

TEST(StopCheckerTest, OutputIsTheSameHoweverTheTextIsCut) {
  std::mt19937 random(7);
  const auto below = [&](uint32_t n) { return random() % n; };
  for (int round = 0; round < 3000; ++round) {
    const auto word = [&](size_t length) {
      std::string text;
      for (size_t i = 0; i < length; ++i) text += static_cast<char>('a' + below(2));
      return text;
    };
    Strings stops;
    for (uint32_t i = 0; i < 1 + below(4); ++i) stops.push_back(word(1 + below(7)));
    const std::string text = word(below(30));
    const StopText mode = below(2) == 0 ? StopText::kInclude : StopText::kExclude;
    StopChecker checker(stops, mode);
    std::string output;
    for (size_t begin = 0; begin < text.size();) {
      const size_t length = 1 + below(5);
      output += checker.Push(text.substr(begin, length));
      begin += length;
      // The text that is not output yet is the beginning of some stop string.
      const std::string_view fed = std::string_view{text}.substr(0, begin);
      if (!checker.stopped() && output.size() < fed.size()) {
        const std::string_view held = fed.substr(output.size());
        EXPECT_TRUE(std::any_of(stops.begin(), stops.end(),
                                [&](const std::string& s) { return s.starts_with(held); }));
      }
    }
    output += checker.Flush();
    EXPECT_EQ(output, Reference(text, stops, mode)) << "round " << round;
  }
}

}  // namespace
}  // namespace dray::sampling
