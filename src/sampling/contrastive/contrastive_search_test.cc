// Contrastive search by hand. What transformers gives on whole models: tests/models/beam_golden_test.cc.
#include "sampling/contrastive/contrastive_search.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace dray::sampling {
namespace {

constexpr int32_t kEnd = 3;

SamplingParams Params() {
  SamplingParams params;
  params.penalty_alpha = 0.5;
  params.top_k = 2;
  params.max_new_tokens = 2;
  params.ignore_eos = true;
  params.stop_token_ids = {kEnd};
  params.num_logprobs = 1;
  return params;
}

class ContrastiveSearchTest : public testing::Test {
 protected:
  // The prompt's tokens have states along the first axis.
  void Start(ContrastiveSearch& search) {
    search.TakeContext(std::vector<float>{2, 0});
    const std::vector<float> logits = {std::log(0.6F), std::log(0.3F), std::log(0.1F), -30};
    ASSERT_TRUE(search.Take(0, logits, std::vector<float>{3, 0}).ok());
    ASSERT_TRUE(search.ready());
    ASSERT_TRUE(search.Advance().ok());
    EXPECT_FALSE(search.choice().has_value());
    EXPECT_EQ(search.num_context(), 2);
    ASSERT_EQ(search.candidates().size(), 2u);
    EXPECT_EQ(search.candidates()[0].token.id, 0);
    EXPECT_EQ(search.candidates()[1].token.id, 1);
  }

  static constexpr int32_t kPrompt[] = {1, 2};
  // Behind every candidate the end token and token 2 are likely.
  const std::vector<float> next_ = {-30, -30, std::log(0.4F), std::log(0.6F)};
};

TEST_F(ContrastiveSearchTest, ChoosesTheLessLikelyTokenThatDiffers) {
  ContrastiveSearch search({.params = Params(), .prompt = kPrompt});
  Start(search);
  // 0.5 * 0.6 - 0.5 * 1 against 0.5 * 0.3 - 0.5 * 0.
  ASSERT_TRUE(search.Take(0, next_, std::vector<float>{5, 0}).ok());
  EXPECT_FALSE(search.ready());
  ASSERT_TRUE(search.Take(1, next_, std::vector<float>{0, 1}).ok());
  ASSERT_TRUE(search.Advance().ok());
  ASSERT_TRUE(search.choice().has_value());
  EXPECT_EQ(search.choice()->candidate, 1);
  EXPECT_EQ(search.choice()->token.id, 1);
  EXPECT_NEAR(search.choice()->token.logprob, std::log(0.3F), 1e-5);
  ASSERT_EQ(search.choice()->tops.size(), 1u);
  EXPECT_EQ(search.choice()->tops[0].id, 0);
  EXPECT_FALSE(search.choice()->end.has_value());
  EXPECT_EQ(search.candidates()[0].token.id, kEnd);
}

TEST_F(ContrastiveSearchTest, EndsWithAnEndTokenOrTheLength) {
  ContrastiveSearch search({.params = Params(), .prompt = kPrompt});
  Start(search);
  for (int64_t candidate = 0; candidate < 2; ++candidate) {
    ASSERT_TRUE(search.Take(candidate, next_, std::vector<float>{1, 1}).ok());
  }
  ASSERT_TRUE(search.Advance().ok());
  EXPECT_EQ(search.choice()->token.id, 0);  // as alike as the other one, but likelier
  for (int64_t candidate = 0; candidate < 2; ++candidate) {
    ASSERT_TRUE(search.Take(candidate, next_, std::vector<float>{0, 1}).ok());
  }
  ASSERT_TRUE(search.Advance().ok());
  EXPECT_EQ(search.choice()->end, FinishReason::kStopToken);

  SamplingParams params = Params();
  params.max_new_tokens = 1;
  ContrastiveSearch shorter({.params = params, .prompt = kPrompt});
  Start(shorter);
  for (int64_t candidate = 0; candidate < 2; ++candidate) {
    ASSERT_TRUE(shorter.Take(candidate, next_, std::vector<float>{1, 1}).ok());
  }
  ASSERT_TRUE(shorter.Advance().ok());
  EXPECT_EQ(shorter.choice()->end, FinishReason::kLength);
}

TEST_F(ContrastiveSearchTest, RefusesLogitsThatAreNoNumbers) {
  ContrastiveSearch search({.params = Params(), .prompt = kPrompt});
  const std::vector<float> logits = {0, NAN, 0, 0};
  EXPECT_EQ(search.Take(0, logits, std::vector<float>{3, 0}).code(), StatusCode::kInternal);
}

}  // namespace
}  // namespace dray::sampling
