// The parts of speculation that need no model: looking up what followed, and deciding how
// much to guess.
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "engine/speculation/draft_policy.h"
#include "engine/speculation/prompt_lookup.h"

namespace dray::engine {
namespace {

using Tokens = std::vector<int32_t>;

Tokens Guess(const Tokens& tokens, int64_t min, int64_t max, int64_t count) {
  const LookupMatch match = FindLatestMatch(tokens, min, max);
  Tokens guesses;
  if (match.length > 0) CopyFromMatch(tokens, match, count, guesses);
  return guesses;
}

TEST(PromptLookupTest, GoesOnAsTheLastTime) {
  EXPECT_EQ(Guess({1, 2, 3, 4, 5, 1, 2}, 1, 4, 3), (Tokens{3, 4, 5}));
  EXPECT_EQ(Guess({1, 2, 3, 9, 2, 7, 1, 2}, 1, 4, 2), (Tokens{3, 9})) << "the longer match";
  EXPECT_EQ(Guess({1, 2, 3, 1, 2, 7, 1, 2}, 1, 4, 2), (Tokens{7, 1})) << "the later one";
  EXPECT_EQ(Guess({1, 2, 3, 1, 2, 7, 1, 2}, 3, 4, 2), (Tokens{})) << "too short a match";
  EXPECT_EQ(Guess({1, 2, 3}, 1, 4, 2), (Tokens{}));
  EXPECT_EQ(Guess({1}, 1, 4, 2), (Tokens{}));
}

TEST(PromptLookupTest, APeriodGoesOn) {
  EXPECT_EQ(Guess({7, 7}, 1, 4, 4), (Tokens{7, 7, 7, 7}));
  EXPECT_EQ(Guess({1, 2, 3, 1, 2, 3, 1}, 1, 4, 7), (Tokens{2, 3, 1, 2, 3, 1, 2}));
}

TEST(PromptLookupTest, FindsWhatAComparisonOfAllPlacesFinds) {
  std::mt19937 random(3);
  for (int round = 0; round < 2000; ++round) {
    Tokens tokens(1 + random() % 40);
    for (int32_t& token : tokens) token = static_cast<int32_t>(random() % 3);
    const auto max = static_cast<int64_t>(1 + random() % 5);
    LookupMatch expected;
    const auto size = static_cast<int64_t>(tokens.size());
    for (int64_t length = 1; length <= max; ++length) {
      for (int64_t start = 0; start + length < size; ++start) {
        if (std::equal(tokens.end() - length, tokens.end(), tokens.begin() + start)) {
          expected = {.length = length, .next = start + length};
        }
      }
    }
    const LookupMatch got = FindLatestMatch(tokens, 1, max);
    EXPECT_EQ(got.length, expected.length);
    EXPECT_EQ(got.next, expected.next);
  }
}

class DraftPolicyTest : public testing::Test {
 protected:
  // How many guesses are made in each of `steps` steps in which each is right with this chance.
  std::vector<int64_t> Play(double acceptance, int steps, int64_t num_sequences = 1) {
    std::vector<int64_t> lengths;
    for (int i = 0; i < steps; ++i) {
      const int64_t length = policy_.NumDrafts(record_, 0, 16, num_sequences);
      lengths.push_back(length);
      if (length == 0) continue;
      int64_t accepted = 0;
      while (accepted < length && std::uniform_real_distribution()(random_) < acceptance) {
        ++accepted;
      }
      policy_.Learn(record_, 0, length, accepted);
    }
    return lengths;
  }

  static int64_t Sum(const std::vector<int64_t>& lengths, size_t from = 0) {
    int64_t sum = 0;
    for (size_t i = from; i < lengths.size(); ++i) sum += lengths[i];
    return sum;
  }

  static constexpr float kPrior[] = {0.7F};
  DraftPolicy policy_{{.row = 0.08, .guess = 0}, kPrior};
  DraftRecord record_ = policy_.NewRecord();
  std::mt19937_64 random_{11};
};

TEST_F(DraftPolicyTest, WrongGuessesSoonEnd) {
  const auto lengths = Play(0, 1000);
  EXPECT_GT(lengths[0], 0);
  // One in 129 from then on, or so.
  EXPECT_LE(Sum(lengths, 100), 9);
  EXPECT_GE(Sum(lengths, 100), 6);
}

TEST_F(DraftPolicyTest, RightGuessesBecomeMany) { EXPECT_EQ(Play(1, 20).back(), 16); }

TEST_F(DraftPolicyTest, AChangeOfMannerIsNoticed) {
  Play(0, 300);
  EXPECT_EQ(Play(1, 150).back(), 16);
  EXPECT_LE(Play(0, 100).back(), 1);
}

TEST_F(DraftPolicyTest, BetterGuessersGuessMore) {
  double previous = 0;
  for (const double acceptance : {0.3, 0.5, 0.7, 0.9}) {
    record_ = policy_.NewRecord();
    const double mean = static_cast<double>(Sum(Play(acceptance, 2000), 200)) / 1800;
    EXPECT_GT(mean, previous);
    previous = mean;
  }
}

TEST_F(DraftPolicyTest, ManySequencesFillTheStepsThemselves) {
  // A row more for each of 1000 sequences nearly doubles a step, which nothing can pay back.
  EXPECT_EQ(Sum(Play(1, 100, 1000)), 0);
  EXPECT_LT(Play(0.9, 100, 16).back(), Play(0.9, 100, 1).back());
}

TEST_F(DraftPolicyTest, CostsAreLearntFromTheClock) {
  for (const double row : {0.03, 0.2}) {
    policy_ = DraftPolicy({.row = 0.08, .guess = 0.1}, kPrior);
    std::lognormal_distribution<double> noise(0, 0.1);
    for (int i = 0; i < 400; ++i) {
      const auto rows = static_cast<int64_t>(1 + random_() % 17);
      const double seconds = 0.02 * (1 + row * static_cast<double>(rows - 1)) * noise(random_);
      // One in ten is ten times too slow.
      const double factor = random_() % 10 == 0 ? 10 : 1;
      policy_.LearnCosts({.rows = rows,
                          .seconds = factor * seconds,
                          .guess_rounds = 4,
                          .guess_seconds = 4 * 0.3 * 0.02});
    }
    // The noise of two steps' ratio, 15 %, is half of all rows' cost in the first case.
    EXPECT_GT(policy_.costs().row, row / 2.5);
    EXPECT_LT(policy_.costs().row, row * 2.5);
    EXPECT_NEAR(policy_.costs().guess, 0.3, 0.1);
  }
}

TEST_F(DraftPolicyTest, UncomparableStepsTeachNothing) {
  policy_.LearnCosts({.rows = 1, .seconds = 0.02});
  policy_.BreakSeries();
  policy_.LearnCosts({.rows = 17, .seconds = 0.9});
  policy_.LearnCosts({.rows = 17, .seconds = 0.1});
  EXPECT_EQ(policy_.costs().row, 0.08);
  policy_.LearnCosts({.rows = 9, .seconds = 0.1});
  EXPECT_LT(policy_.costs().row, 0.08);
}

TEST_F(DraftPolicyTest, NewSequencesBeginWithWhatIsKnown) {
  for (int i = 0; i < 100; ++i) {
    record_ = policy_.NewRecord();
    Play(0, 20);
  }
  record_ = policy_.NewRecord();
  EXPECT_LE(Sum(Play(0, 20)), 4);
}

}  // namespace
}  // namespace dray::engine
