#include "sampling/processors.h"

#include <gtest/gtest.h>

#include <limits>

namespace dray::sampling {
namespace {

constexpr float kMasked = -std::numeric_limits<float>::infinity();

std::vector<float> Process(const SamplingParams& params, const std::vector<int32_t>& prompt,
                           const std::vector<int32_t>& generated, std::vector<float> logits,
                           const std::vector<int32_t>& end_tokens = {}) {
  TokenHistory history(params, prompt);
  for (const int32_t id : generated) history.Append(id);
  ProcessLogits(params, history, end_tokens, logits);
  return logits;
}

TEST(ProcessorsTest, DefaultsChangeNothing) {
  EXPECT_EQ(Process({}, {0, 1}, {2}, {1, -2, 3}, {2}), (std::vector<float>{1, -2, 3}));
}

TEST(ProcessorsTest, RepetitionPenaltyCountsPromptAndGenerated) {
  SamplingParams params;
  params.repetition_penalty = 2;
  EXPECT_EQ(Process(params, {0, 0}, {1, 1}, {4, -4, 4, -4}), (std::vector<float>{2, -8, 4, -4}));
}

TEST(ProcessorsTest, FrequencyAndPresencePenaltiesCountGeneratedOnly) {
  SamplingParams params;
  params.frequency_penalty = 0.5;
  params.presence_penalty = 0.25;
  EXPECT_EQ(Process(params, {0, 0}, {1, 2, 1, 1}, {4, 4, -4, 4}),
            (std::vector<float>{4, 4 - 1.5f - 0.25f, -4 - 0.5f - 0.25f, 4}));
}

TEST(ProcessorsTest, RepetitionComesBeforeFrequency) {
  SamplingParams params;
  params.repetition_penalty = 2;
  params.frequency_penalty = 1;
  EXPECT_EQ(Process(params, {0}, {1}, {4, 4}), (std::vector<float>{2, 1}));
}

TEST(ProcessorsTest, BiasComesFirst) {
  SamplingParams params;
  params.repetition_penalty = 2;
  params.logit_bias = {{0, 6}, {1, -1}};
  EXPECT_EQ(Process(params, {0}, {}, {-2, 4}), (std::vector<float>{2, 3}));
}

TEST(ProcessorsTest, NoSequenceOfTokensRepeats) {
  SamplingParams params;
  params.no_repeat_ngram_size = 3;
  const std::vector<float> row = {5, 5, 5, 5};
  EXPECT_EQ(Process(params, {0, 1, 2, 0}, {1}, row), (std::vector<float>{5, 5, kMasked, 5}));
  EXPECT_EQ(Process(params, {0, 1, 2, 0, 1, 3}, {0, 1}, row),
            (std::vector<float>{5, 5, kMasked, kMasked}));
  EXPECT_EQ(Process(params, {0, 1}, {}, row), row);
  params.no_repeat_ngram_size = 1;
  EXPECT_EQ(Process(params, {0, 2}, {2}, row), (std::vector<float>{kMasked, 5, kMasked, 5}));
}

TEST(ProcessorsTest, SuppressedTokensAreMasked) {
  SamplingParams params;
  params.suppress_tokens = {1, 9};
  params.begin_suppress_tokens = {2};
  const std::vector<float> row = {5, 5, 5, 5};
  EXPECT_EQ(Process(params, {0}, {}, row), (std::vector<float>{5, kMasked, kMasked, 5}));
  EXPECT_EQ(Process(params, {0}, {3}, row), (std::vector<float>{5, kMasked, 5, 5}));
}

TEST(ProcessorsTest, ForcedTokensAreTheOnlyOnes) {
  SamplingParams params;
  params.forced_bos_token_id = 1;
  params.forced_eos_token_id = 2;
  params.begin_suppress_tokens = {3};
  params.max_new_tokens = 4;
  const std::vector<float> row = {5, 5, 5, 5};
  const std::vector<float> first = {kMasked, 0, kMasked, kMasked};
  const std::vector<float> last = {kMasked, kMasked, 0, kMasked};
  EXPECT_EQ(Process(params, {0}, {}, row), first);
  // The forced token is not the first one that is chosen.
  EXPECT_EQ(Process(params, {0}, {1}, row), (std::vector<float>{5, 5, 5, kMasked}));
  EXPECT_EQ(Process(params, {0}, {1, 1, 1}, row), last);
  // Only a prompt of one token is followed by it.
  EXPECT_EQ(Process(params, {0, 0}, {}, row), (std::vector<float>{5, 5, 5, kMasked}));
}

TEST(ProcessorsTest, BadWordIsMaskedWhenItsBeginningStands) {
  SamplingParams params;
  params.bad_words = {{1, 2, 3}, {0}};
  const std::vector<float> row = {5, 5, 5, 5};
  EXPECT_EQ(Process(params, {1}, {2}, row), (std::vector<float>{kMasked, 5, 5, kMasked}));
  EXPECT_EQ(Process(params, {1, 2}, {}, row), (std::vector<float>{kMasked, 5, 5, kMasked}));
  EXPECT_EQ(Process(params, {1, 2}, {1}, row), (std::vector<float>{kMasked, 5, 5, 5}));
  EXPECT_EQ(Process(params, {2}, {}, row), (std::vector<float>{kMasked, 5, 5, 5}));
  EXPECT_EQ(Process(params, {0, 0, 0}, {0, 1, 2}, row),
            (std::vector<float>{kMasked, 5, 5, kMasked}));
}

TEST(ProcessorsTest, EndTokensAloneAreNoBadWords) {
  SamplingParams params;
  params.bad_words = {{0}, {1}};
  EXPECT_EQ(Process(params, {2}, {}, {5, 5, 5}, {1}), (std::vector<float>{kMasked, 5, 5}));
}

TEST(ProcessorsTest, EndTokensAreMaskedUntilTheMinimumLength) {
  SamplingParams params;
  params.min_new_tokens = 2;
  EXPECT_EQ(Process(params, {0}, {1}, {5, 5, 5}, {1}), (std::vector<float>{5, kMasked, 5}));
  EXPECT_EQ(Process(params, {0}, {0, 0}, {5, 5, 5}, {1}), (std::vector<float>{5, 5, 5}));
}

TEST(ProcessorsTest, IdsBeyondTheRowAreIgnored) {
  SamplingParams params;
  params.repetition_penalty = 2;
  params.logit_bias = {{9, 1}};
  params.bad_words = {{9}};
  params.min_new_tokens = 1;
  EXPECT_EQ(Process(params, {9, -1}, {}, {4, 4}, {9}), (std::vector<float>{4, 4}));
}

TEST(ProcessorsTest, HistoryKeepsOnlyWhatIsLookedAt) {
  SamplingParams params;
  TokenHistory plain(params, std::vector<int32_t>{1, 2, 3});
  plain.Append(4);
  EXPECT_TRUE(plain.occurrences().empty());
  EXPECT_TRUE(plain.tail().empty());
  params.bad_words = {{1, 2, 3}};
  TokenHistory history(params, std::vector<int32_t>{1, 2, 3});
  history.Append(4);
  EXPECT_EQ(std::vector<int32_t>(history.tail().begin(), history.tail().end()),
            (std::vector<int32_t>{3, 4}));
}

}  // namespace
}  // namespace dray::sampling
