// FasterTransformer's rules of beam search, by hand: how long a hypothesis counts as, and what siblings
// gain. What transformers gives for groups: beam_search_golden_test.cc.
#include "sampling/beams/group_beam_search.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <vector>

namespace dray::sampling {
namespace {

constexpr int32_t kEnd = 0;

BeamRow Row(const std::vector<float>& scores) {
  BeamRow row;
  for (size_t id = 0; id < scores.size(); ++id) {
    row.continuations.push_back({.token_id = static_cast<int32_t>(id), .score = scores[id]});
  }
  return row;
}

std::vector<int32_t> IdsOf(const Hypothesis& hypothesis) {
  std::vector<int32_t> ids;
  for (const TokenTree::Token& token : hypothesis.tokens) ids.push_back(token.token.id);
  return ids;
}

BeamSearchSpec FasterTransformer() {
  return {.num_beams = 2,
          .length_penalty = 0,
          .early_stopping = EarlyStopping::kYes,
          .max_new_tokens = 2,
          .end_tokens = {kEnd},
          .rules = BeamRules::kFasterTransformer,
          .num_prompt_tokens = 6};
}

TEST(GroupBeamSearchTest, FasterTransformerCountsThePrompt) {
  BeamSearchSpec spec = FasterTransformer();
  spec.length_penalty = 1;
  const auto search = MakeBeamSearch(spec);
  // Tokens 1 and 2 are followed. The end token is among the two best once.
  const std::vector<BeamRow> first = {Row({-9.0F, -1.0F, -2.0F, -8.0F})};
  ASSERT_TRUE(search->Advance(0, first, 4));
  EXPECT_EQ(search->moves()[0].token_id, 1);
  EXPECT_EQ(search->moves()[1].token_id, 2);
  const std::vector<BeamRow> second = {Row({-0.5F, -3.0F, -4.0F, -9.0F}),
                                       Row({-8.0F, -7.0F, -1.0F, -9.0F})};
  ASSERT_TRUE(search->Advance(0, second, 4));
  EXPECT_TRUE(search->done());
  const std::vector<Hypothesis> best = search->Best(2);
  // Two new tokens behind six of the prompt.
  EXPECT_EQ(IdsOf(best[0]), (std::vector<int32_t>{1, kEnd}));
  EXPECT_FLOAT_EQ(best[0].score, -1.5F / 8);
  EXPECT_EQ(IdsOf(best[1]), (std::vector<int32_t>{2, 2}));
  EXPECT_FLOAT_EQ(best[1].score, -3.0F / 8);
}

TEST(GroupBeamSearchTest, SiblingsGainByTheirRank) {
  BeamSearchSpec spec = FasterTransformer();
  spec.max_new_tokens = 1;
  spec.sibling_rate = -2;
  const auto search = MakeBeamSearch(spec);
  const std::vector<BeamRow> rows = {Row({-9.0F, -1.0F, -1.25F, -1.5F})};
  ASSERT_TRUE(search->Advance(0, rows, 4));
  const std::vector<Hypothesis> best = search->Best(2);
  EXPECT_EQ(IdsOf(best[0]), std::vector<int32_t>{1});
  EXPECT_FLOAT_EQ(best[0].score, -1.0F);
  EXPECT_EQ(IdsOf(best[1]), std::vector<int32_t>{2});
  EXPECT_FLOAT_EQ(best[1].score, -1.25F - 2.0F);
}

TEST(GroupBeamSearchTest, StopsWhenEachPlaceHasAHypothesis) {
  BeamSearchSpec spec = FasterTransformer();
  spec.max_new_tokens = 9;
  const auto search = MakeBeamSearch(spec);
  const std::vector<BeamRow> first = {Row({-1.0F, -2.0F, -3.0F, -4.0F})};
  ASSERT_TRUE(search->Advance(0, first, 4));
  EXPECT_FALSE(search->done());
  const std::vector<BeamRow> second = {Row({-0.5F, -3.0F, -4.0F, -9.0F}),
                                       Row({-8.0F, -7.0F, -1.0F, -9.0F})};
  ASSERT_TRUE(search->Advance(0, second, 4));
  EXPECT_TRUE(search->done());
  const std::vector<Hypothesis> best = search->Best(2);
  EXPECT_EQ(IdsOf(best[0]), std::vector<int32_t>{kEnd});
  EXPECT_EQ(IdsOf(best[1]), (std::vector<int32_t>{1, kEnd}));
}

TEST(GroupBeamSearchTest, RefusesToGoOnWithoutTokens) {
  BeamSearchSpec spec = FasterTransformer();
  const auto search = MakeBeamSearch(spec);
  const float masked = -INFINITY;
  const std::vector<BeamRow> rows = {Row({masked, masked, masked, masked})};
  EXPECT_FALSE(search->Advance(0, rows, 4));
}

}  // namespace
}  // namespace dray::sampling
