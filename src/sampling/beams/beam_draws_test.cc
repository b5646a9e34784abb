// Beam search that samples, by hand and by counting. Cases that transformers decides in one way only:
// tests/models/beam_golden_test.cc.
#include "sampling/beams/beam_draws.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "sampling/beams/beam_sampler.h"

namespace dray::sampling {
namespace {

constexpr float kMasked = -std::numeric_limits<float>::infinity();
constexpr uint64_t kNumSeeds = 20000;

BeamRow FillRow(const SamplingParams& params, std::vector<float> scores, size_t least,
                const DrawPlace& place = {}) {
  const std::vector<float> logprobs = scores;
  SamplingWorkspace workspace;
  BeamRow row;
  FillDrawnRow(
      {.params = params, .place = place, .least = least, .logprobs = logprobs, .scores = scores},
      workspace, row);
  return row;
}

std::vector<int32_t> IdsOf(const BeamRow& row) {
  std::vector<int32_t> ids;
  for (const Continuation& continuation : row.continuations) ids.push_back(continuation.token_id);
  return ids;
}

SamplingParams Sampling() {
  SamplingParams params;
  params.do_sample = true;
  return params;
}

TEST(BeamDrawsTest, NoiseHasGumbelsMeanAndVariance) {
  double sum = 0, squares = 0;
  for (uint64_t seed = 0; seed < kNumSeeds; ++seed) {
    const double noise = GumbelNoise({.seed = seed, .position = 3, .beam = 1}, 17);
    sum += noise;
    squares += noise * noise;
  }
  const auto count = static_cast<double>(kNumSeeds);
  const double mean = sum / count;
  EXPECT_NEAR(mean, 0.5772, 0.03);  // Euler's constant
  EXPECT_NEAR(squares / count - mean * mean, M_PI * M_PI / 6, 0.1);
}

TEST(BeamDrawsTest, NoiseDependsOnThePlaceAlone) {
  const DrawPlace place = {.seed = 5, .position = 2, .beam = 1};
  const float noise = GumbelNoise(place, 9);
  EXPECT_EQ(GumbelNoise(place, 9), noise);
  EXPECT_NE(GumbelNoise(place, 10), noise);
  EXPECT_NE(GumbelNoise({.seed = 6, .position = 2, .beam = 1}, 9), noise);
  EXPECT_NE(GumbelNoise({.seed = 5, .position = 3, .beam = 1}, 9), noise);
  EXPECT_NE(GumbelNoise({.seed = 5, .position = 2, .beam = 0}, 9), noise);
}

TEST(BeamDrawsTest, TemperatureDividesScoresAndCutsKeepEnough) {
  const std::vector<float> scores = {-1.0F, -3.0F, -0.5F, -2.0F, kMasked};
  SamplingParams params = Sampling();
  params.temperature = 0.5;
  const BeamRow all = FillRow(params, scores, 2);
  ASSERT_EQ(IdsOf(all), (std::vector<int32_t>{0, 1, 2, 3}));
  for (const Continuation& continuation : all.continuations) {
    const float logprob = scores[static_cast<size_t>(continuation.token_id)];
    EXPECT_FLOAT_EQ(continuation.score, logprob / 0.5F);
    EXPECT_EQ(continuation.logprob, logprob);
  }
  params.top_k = 3;
  EXPECT_EQ(IdsOf(FillRow(params, scores, 2)), (std::vector<int32_t>{0, 2, 3}));
  params.top_k = 1;
  EXPECT_EQ(IdsOf(FillRow(params, scores, 2)), (std::vector<int32_t>{0, 2}));
  for (double SamplingParams::*const cut :
       {&SamplingParams::top_p, &SamplingParams::typical_p, &SamplingParams::min_p}) {
    params = Sampling();
    params.*cut = cut == &SamplingParams::min_p ? 1.0 : 1e-6;
    EXPECT_EQ(FillRow(params, scores, 1).continuations.size(), 1U);
    EXPECT_EQ(FillRow(params, scores, 3).continuations.size(), 3U);
  }
  params.min_p = 0;
  params.top_p = 1e-6;
  params.typical_p = 1.0;
  EXPECT_EQ(IdsOf(FillRow(params, scores, 3)), (std::vector<int32_t>{0, 2, 3}));
}

TEST(BeamDrawsTest, MaskedTokensFillARow) {
  const BeamRow row = FillRow(Sampling(), {kMasked, kMasked, -1.0F, kMasked}, 3);
  EXPECT_EQ(IdsOf(row), (std::vector<int32_t>{0, 1, 2}));
  EXPECT_EQ(row.continuations[0].score, kMasked);
  EXPECT_EQ(FillRow(Sampling(), {kMasked, kMasked}, 2).continuations.size(), 2U);
}

// The first candidate is each token with its probability, the second with its share of the others'.
TEST(BeamDrawsTest, CandidatesAreDrawnWithoutReplacement) {
  const std::vector<float> probabilities = {0.4F, 0.3F, 0.2F, 0.1F};
  std::vector<float> scores = probabilities;
  for (float& score : scores) score = std::log(score);
  BeamRanking ranking({.num_beams = 1, .end_tokens = {}, .draws = true});
  std::vector<std::vector<double>> counts(4, std::vector<double>(4));
  const std::vector<float> beam_scores = {-2.0F};
  for (uint64_t seed = 0; seed < kNumSeeds; ++seed) {
    const std::vector<BeamRow> rows = {FillRow(Sampling(), scores, 2, {.seed = seed})};
    const auto candidates = ranking.Rank(rows, beam_scores, 4);
    ASSERT_EQ(candidates.size(), 2U);
    const auto first = static_cast<size_t>(candidates[0].continuation->token_id);
    const auto second = static_cast<size_t>(candidates[1].continuation->token_id);
    EXPECT_FLOAT_EQ(candidates[0].score, scores[first] - 2.0F) << "noise is no score";
    ++counts[first][second];
  }
  for (size_t first = 0; first < 4; ++first) {
    for (size_t second = 0; second < 4; ++second) {
      const double p = probabilities[first], q = probabilities[second];
      const double expected = first == second ? 0 : p * q / (1 - p);
      const double deviation = std::sqrt(expected * (1 - expected) / kNumSeeds);
      EXPECT_NEAR(counts[first][second] / kNumSeeds, expected, 4 * deviation);
    }
  }
}

// The sequences of a search whose logits depend on the last token.
std::vector<int32_t> Search(uint64_t seed, bool takes_twice) {
  SamplingParams params = Sampling();
  params.num_beams = 3;
  params.seed = seed;
  params.max_new_tokens = 8;
  params.ignore_eos = true;
  const std::vector<int32_t> prompt = {1};
  BeamSampler sampler({.params = params, .prompt = prompt});
  SamplingWorkspace workspace;
  std::vector<int32_t> last = prompt;
  while (!sampler.search().done()) {
    for (size_t beam = 0; beam < last.size(); ++beam) {
      for (int i = 0; i <= (takes_twice ? 1 : 0); ++i) {
        std::vector<float> logits(30);
        for (size_t id = 0; id < logits.size(); ++id) {
          logits[id] = std::sin(static_cast<float>(static_cast<int32_t>(7 * id) + 3 * last[beam]));
        }
        EXPECT_TRUE(sampler.Take(static_cast<int64_t>(beam), logits, workspace).ok());
      }
    }
    EXPECT_TRUE(sampler.Advance().ok());
    last.clear();
    for (const BeamSearch::Move& move : sampler.search().moves()) last.push_back(move.token_id);
  }
  std::vector<int32_t> ids;
  for (const Hypothesis& hypothesis : sampler.search().Best(3)) {
    EXPECT_EQ(hypothesis.tokens.size(), 8U);
    for (const TokenTree::Token& token : hypothesis.tokens) ids.push_back(token.token.id);
  }
  return ids;
}

TEST(BeamDrawsTest, ASeedDecidesTheSequences) {
  const auto ids = Search(1, false);
  EXPECT_EQ(Search(1, false), ids);
  EXPECT_EQ(Search(1, true), ids) << "a row that is computed again is drawn alike";
  EXPECT_NE(Search(2, false), ids);
}

}  // namespace
}  // namespace dray::sampling
