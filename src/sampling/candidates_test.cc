#include "sampling/candidates.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

namespace dray::sampling {
namespace {

std::vector<int32_t> Select(const SamplingParams& params, std::vector<float> logits,
                            SamplingWorkspace& workspace) {
  SelectCandidates(params, MaxLogit(logits), logits, workspace);
  std::vector<int32_t> ids;
  for (const Candidate& candidate : workspace.candidates()) ids.push_back(candidate.token_id);
  return ids;
}

std::vector<int32_t> Select(const SamplingParams& params, const std::vector<float>& logits) {
  SamplingWorkspace workspace;
  return Select(params, logits, workspace);
}

using Ids = std::vector<int32_t>;

TEST(CandidatesTest, WithoutCutsAllButMaskedTokensStay) {
  const float masked = -std::numeric_limits<float>::infinity();
  EXPECT_EQ(Select({}, {1, masked, -5, 2}), (Ids{0, 2, 3}));
}

TEST(CandidatesTest, TopKKeepsTies) {
  SamplingParams params;
  params.top_k = 2;
  EXPECT_EQ(Select(params, {1, 3, 2, 2, 0}), (Ids{1, 2, 3}));
  params.top_k = 1;
  EXPECT_EQ(Select(params, {1, 3, 2, 2, 0}), (Ids{1}));
  for (const int64_t all : {0, -1, 5, 100}) {
    params.top_k = all;
    EXPECT_EQ(Select(params, {1, 3, 2, 2, 0}).size(), 5u);
  }
}

TEST(CandidatesTest, TopPCutsTiesByLowestId) {
  SamplingParams params;
  params.top_p = 0.5;
  EXPECT_EQ(Select(params, {1, 1, 1, 1}), (Ids{0, 1}));
  params.top_p = 0.51;
  EXPECT_EQ(Select(params, {1, 1, 1, 1}), (Ids{0, 1, 2}));
  params.top_p = 0;
  EXPECT_EQ(Select(params, {1, 2, 2, 1}), (Ids{1}));
}

TEST(CandidatesTest, MinPOfOneKeepsTheLikeliest) {
  SamplingParams params;
  params.min_p = 1;
  EXPECT_EQ(Select(params, {1, 2, 2, 1}), (Ids{1, 2}));
}

TEST(CandidatesTest, HugeLogitsAndLowTemperatureStayFinite) {
  SamplingParams params;
  params.temperature = 2e-5;
  SamplingWorkspace workspace;
  EXPECT_EQ(Select(params, {3e38f, -3e38f, 3e38f}, workspace), (Ids{0, 2}));
  EXPECT_EQ(workspace.candidates()[0].weight, 1.0f);
}

// Applies the cuts by their definitions, with a full sort.
Ids Reference(const SamplingParams& params, std::vector<float> logits) {
  const float max = *std::max_element(logits.begin(), logits.end());
  for (float& logit : logits) logit = (logit - max) / static_cast<float>(params.temperature);
  Ids ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  const auto sort = [&](auto key) {
    std::stable_sort(ids.begin(), ids.end(), [&](int a, int b) { return key(a) > key(b); });
  };
  const auto weight = [&](int id) { return static_cast<double>(ExpOfNonPositive(logits[id])); };
  const auto total = [&] {
    return std::accumulate(ids.begin(), ids.end(), 0.0,
                           [&](double sum, int id) { return sum + weight(id); });
  };
  // The number of sorted ids that are needed to reach the share.
  const auto count = [&](double share) {
    const double target = share * total();
    double sum = 0;
    for (size_t i = 0; i < ids.size(); ++i) {
      sum += weight(ids[i]);
      if (sum >= target) return i + 1;
    }
    return ids.size();
  };
  const auto logit = [&](int id) { return logits[id]; };
  if (params.top_k > 0 && static_cast<size_t>(params.top_k) < ids.size()) {
    sort(logit);
    const float least = logits[ids[params.top_k - 1]];
    std::erase_if(ids, [&](int id) { return logits[id] < least; });
    std::sort(ids.begin(), ids.end());
  }
  if (params.top_p < 1) {
    sort(logit);
    ids.resize(count(params.top_p));
    std::sort(ids.begin(), ids.end());
  }
  std::erase_if(ids, [&](int id) { return weight(id) < static_cast<float>(params.min_p); });
  if (params.typical_p < 1) {
    double entropy = 0;
    const double sum = total();
    for (const int id : ids) {
      const double p = weight(id) / sum;
      if (p > 0) entropy -= p * std::log(p);
    }
    const auto closeness = [&](int id) {
      return -std::abs(static_cast<float>(std::log(sum) - logits[id] - entropy));
    };
    sort(closeness);
    const float least = closeness(ids[count(params.typical_p) - 1]);
    std::erase_if(ids, [&](int id) { return closeness(id) < least; });
    std::sort(ids.begin(), ids.end());
  }
  return ids;
}

// Logits in steps of 1/8 make many ties. Long rows make the selection discard parts many times.
TEST(CandidatesTest, CutsAgreeWithFullSorting) {
  std::mt19937 random(11);
  SamplingWorkspace workspace;
  for (int round = 0; round < 300; ++round) {
    const auto share = [&] { return std::uniform_real_distribution<>(0.001, 0.999)(random); };
    constexpr float kScales[] = {3.0f, 0.3f, 0.01f};  // with the last, all keys are in one range
    std::normal_distribution<float> normal(0, kScales[round % 3]);
    std::vector<float> logits(1 + random() % 3000);
    for (float& logit : logits) {
      logit = normal(random);
      if (round % 2 == 0) logit = std::round(logit * 8) / 8;
    }
    SamplingParams params;
    params.temperature = 0.5 + share();
    if (random() % 2 == 0) params.top_k = 1 + static_cast<int64_t>(random() % 600);
    if (random() % 2 == 0) params.top_p = share();
    if (random() % 2 == 0) params.min_p = share() * 0.1;
    // typical_p is compared only on rows without steps: where ties meet, the reference rounds
    // differently.
    if (round % 2 == 1 && random() % 2 == 0) params.typical_p = share();
    EXPECT_EQ(Select(params, logits, workspace), Reference(params, logits)) << "round " << round;
  }
}

TEST(CandidatesTest, PickFollowsTheWeights) {
  const std::vector<Candidate> candidates = {{3, 0, 0.5f}, {4, 0, 0}, {7, 0, 0.25f}, {9, 0, 0.25f}};
  EXPECT_EQ(PickCandidate(candidates, 0), 3);
  EXPECT_EQ(PickCandidate(candidates, 0.499), 3);
  EXPECT_EQ(PickCandidate(candidates, 0.5), 7);
  EXPECT_EQ(PickCandidate(candidates, 0.749), 7);
  EXPECT_EQ(PickCandidate(candidates, 0.75), 9);
  EXPECT_EQ(PickCandidate(candidates, 1 - 0x1p-53), 9);
  const std::vector<Candidate> zero_first = {{1, 0, 0}, {2, 0, 1}};
  EXPECT_EQ(PickCandidate(zero_first, 0), 2);
}

}  // namespace
}  // namespace dray::sampling
