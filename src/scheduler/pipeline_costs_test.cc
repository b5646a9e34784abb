// The division of work among the stages of a pipeline, for machines of several kinds.
#include "scheduler/pipeline_costs.h"

#include <gtest/gtest.h>

namespace dray::scheduler {
namespace {

TEST(PipelineCostsTest, AStageReadsAndComputesFurtherRows) {
  const PipelineCosts costs = {.num_stages = 2, .read_alone = 6, .read_together = 10, .row = 0.5};
  EXPECT_EQ(StageSeconds(costs, 1, 1), 6);
  EXPECT_EQ(StageSeconds(costs, 1, 2), 10);
  EXPECT_EQ(StageSeconds(costs, 17, 1), 14);
  EXPECT_EQ(StageSeconds(costs, 41, 2), 30);
}

TEST(PipelineCostsTest, ARoundPassesAllStages) {
  const PipelineCosts costs = {.num_stages = 3, .read_alone = 4, .read_together = 6, .row = 1};
  EXPECT_EQ(RoundSeconds(costs, 2, 1), 3 * (4 + 1));
  EXPECT_EQ(RoundSeconds(costs, 3, 3), 3 * 6);
  EXPECT_EQ(RoundSeconds(costs, 24, 1), 3 * (4 + 23));
  EXPECT_EQ(RoundSeconds(costs, 24, 3), 3 * (6 + 7));
  EXPECT_EQ(RoundSeconds(costs, 25, 3), 3 * (6 + 8));
}

// Each micro-batch reads the weights, so a few sequences are best computed together if one stage alone
// reads faster than all at the same time.
TEST(PipelineCostsTest, SharedMemoryIsReadByOneMicroBatch) {
  const PipelineCosts costs = {.num_stages = 2, .read_alone = 6, .read_together = 10, .row = 0.5};
  EXPECT_EQ(NumMicroBatches(costs, 1), 1);
  EXPECT_EQ(NumMicroBatches(costs, 8), 1);
  EXPECT_EQ(NumMicroBatches(costs, 17), 1);  // 2 * 14 either way
  EXPECT_EQ(NumMicroBatches(costs, 18), 2);  // 14.5 beside 14
  EXPECT_EQ(NumMicroBatches(costs, 64), 2);
}

// Stages on machines of their own read at the same speed alone and together.
TEST(PipelineCostsTest, MemoryOfTheirOwnMakesMicroBatchesPayAtOnce) {
  const PipelineCosts costs = {.num_stages = 4, .read_alone = 6, .read_together = 6, .row = 0.5};
  EXPECT_EQ(NumMicroBatches(costs, 1), 1);
  EXPECT_EQ(NumMicroBatches(costs, 2), 2);
  EXPECT_EQ(NumMicroBatches(costs, 4), 4);
  EXPECT_EQ(NumMicroBatches(costs, 5), 3);  // two rows each, as with four
  EXPECT_EQ(NumMicroBatches(costs, 200), 4);
}

TEST(PipelineCostsTest, UnmeasuredCostsGiveEachStageAMicroBatch) {
  EXPECT_EQ(NumMicroBatches({.num_stages = 1}, 9), 1);
  EXPECT_EQ(NumMicroBatches({.num_stages = 3}, 9), 3);
  EXPECT_EQ(NumMicroBatches({.num_stages = 3}, 2), 2);
  EXPECT_EQ(NumMicroBatches({.num_stages = 3}, 0), 1);
}

// No other size takes less time.
TEST(PipelineCostsTest, PromptStepsBalanceReadingAndFilling) {
  const PipelineCosts costs = {.num_stages = 3, .read_alone = 4, .read_together = 6, .row = 0.1};
  const int64_t tokens = 5000;
  const auto seconds = [&](int64_t step) {
    const double steps = static_cast<double>(tokens) / static_cast<double>(step);
    return (steps + 2) * (StageSeconds(costs, step, 3) + costs.row);
  };
  const int64_t best = PromptStepTokens(costs, tokens, 4096);
  for (const int64_t step : {best / 2, best - 20, best + 20, best * 2}) {
    EXPECT_LT(seconds(best), seconds(step)) << step << " beside " << best;
  }
}

TEST(PipelineCostsTest, PromptStepsAreSmallBesideAllPrompts) {
  const PipelineCosts costs = {.num_stages = 2, .read_alone = 6, .read_together = 10, .row = 0.5};
  EXPECT_EQ(PromptStepTokens(costs, 4096, 512), 286);
  EXPECT_EQ(PromptStepTokens(costs, 1024, 512), 143);
  EXPECT_EQ(PromptStepTokens(costs, 32768, 512), 512);
  EXPECT_EQ(PromptStepTokens(costs, 40, 512), 32) << "fewer rows are multiplied more slowly";
  EXPECT_EQ(PromptStepTokens({.num_stages = 2}, 200, 512), 32);
  PipelineCosts five = costs;
  five.num_stages = 5;
  EXPECT_EQ(PromptStepTokens(five, 4096, 512), 143);
}

TEST(PipelineCostsTest, PromptStepsAreWholeWhereNothingIsGained) {
  EXPECT_EQ(PromptStepTokens({.num_stages = 1}, 4096, 512), 512);
  const PipelineCosts reads = {.num_stages = 2, .read_alone = 600, .read_together = 1000, .row = 1};
  EXPECT_EQ(PromptStepTokens(reads, 4096, 512), 512) << "every step only reads";
}

}  // namespace
}  // namespace dray::scheduler
