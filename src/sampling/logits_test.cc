#include "sampling/logits.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

namespace dray::sampling {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<float> RandomLogits(size_t size, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 5);
  std::vector<float> logits(size);
  for (float& logit : logits) logit = normal(random);
  return logits;
}

TEST(LogitsTest, MaxIsFoundAtEveryPlace) {
  for (const size_t size : {1u, 5u, 16u, 17u, 100u}) {
    for (size_t place = 0; place < size; ++place) {
      std::vector<float> logits(size, -3.0f);
      logits[place] = 2.0f;
      EXPECT_EQ(MaxLogit(logits), 2.0f);
      EXPECT_EQ(IndexOf(logits, 2.0f), static_cast<int32_t>(place));
      logits[place] = std::nanf("");
      EXPECT_TRUE(std::isnan(MaxLogit(logits))) << size << " " << place;
    }
  }
  EXPECT_EQ(MaxLogit(std::vector<float>(20, -kInfinity)), -kInfinity);
}

TEST(LogitsTest, LowestIndexWinsTies) { EXPECT_EQ(IndexOf(std::vector<float>{1, 4, 2, 4}, 4), 1); }

TEST(LogitsTest, ExpIsPrecise) {
  double worst = 0;
  for (float x = 0; x > -87; x -= 0.000917f) {
    const double exact = std::exp(static_cast<double>(x));
    worst = std::max(worst, std::abs(ExpOfNonPositive(x) - exact) / exact);
  }
  EXPECT_LT(worst, 3e-7);
  EXPECT_EQ(ExpOfNonPositive(0), 1.0f);
  EXPECT_EQ(ExpOfNonPositive(-88), 0.0f);
  EXPECT_EQ(ExpOfNonPositive(-1e30f), 0.0f);
  EXPECT_EQ(ExpOfNonPositive(-kInfinity), 0.0f);
}

TEST(LogitsTest, LogprobsAgreeWithDoubleArithmetic) {
  const std::vector<float> logits = RandomLogits(50257, 3);
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
  std::vector<TokenLogprob> top;
  const float logprob = ComputeLogprobs(logits, 1234, 5, top);
  EXPECT_NEAR(logprob, logits[1234] - std::log(sum), 2e-6);
  ASSERT_EQ(top.size(), 5u);
  std::vector<size_t> order(logits.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return logits[a] > logits[b]; });
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(top[i].id, static_cast<int32_t>(order[i]));
    EXPECT_NEAR(top[i].logprob, logits[order[i]] - std::log(sum), 2e-6);
  }
}

TEST(LogitsTest, TopOfTiesIsByLowestId) {
  std::vector<TokenLogprob> top;
  ComputeLogprobs(std::vector<float>{1, 2, 2, 1, 2, 1}, 0, 4, top);
  std::vector<int32_t> ids;
  ids.reserve(top.size());
  for (const TokenLogprob& entry : top) ids.push_back(entry.id);
  EXPECT_EQ(ids, (std::vector<int32_t>{1, 2, 4, 0}));
}

TEST(LogitsTest, FarLogitsStayExact) {
  std::vector<TokenLogprob> top;
  EXPECT_EQ(ComputeLogprobs(std::vector<float>{1e30f, 0}, 0, 0, top), 0.0f);
  EXPECT_EQ(ComputeLogprobs(std::vector<float>{5, -kInfinity}, 0, 0, top), 0.0f);
  EXPECT_EQ(ComputeLogprobs(std::vector<float>{5, -kInfinity}, 1, 0, top), -kInfinity);
  EXPECT_NEAR(ComputeLogprobs(std::vector<float>{100, 0}, 1, 0, top), -100, 1e-5);
  EXPECT_TRUE(top.empty());
}

TEST(LogitsTest, MoreAlternativesThanTokens) {
  std::vector<TokenLogprob> top;
  ComputeLogprobs(std::vector<float>{1, 2}, 0, 20, top);
  EXPECT_EQ(top.size(), 2u);
}

}  // namespace
}  // namespace dray::sampling
