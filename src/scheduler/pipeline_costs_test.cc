// The division of work among the stages of a pipeline, for machines of several kinds.
#include "scheduler/pipeline_costs.h"

#include <gtest/gtest.h>

namespace dray::scheduler {
namespace {

TEST(PipelineCostsTest, AStageReadsOrComputesWhicheverIsLonger) {
  const PipelineCosts costs = {.num_stages = 2, .read_alone = 6, .read_together = 10, .row = 0.5};
  EXPECT_EQ(StageSeconds(costs, 1, 1), 6);
  EXPECT_EQ(StageSeconds(costs, 1, 2), 10);
  EXPECT_EQ(StageSeconds(costs, 16, 1), 8);
  EXPECT_EQ(StageSeconds(costs, 40, 2), 20);
}

TEST(PipelineCostsTest, ARoundPassesAllStages) {
  const PipelineCosts costs = {.num_stages = 3, .read_alone = 4, .read_together = 6, .row = 1};
  EXPECT_EQ(RoundSeconds(costs, 2, 1), 3 * 4);
  EXPECT_EQ(RoundSeconds(costs, 3, 3), 3 * 6);
  EXPECT_EQ(RoundSeconds(costs, 24, 1), 3 * 24);
  EXPECT_EQ(RoundSeconds(costs, 24, 3), 3 * 8);
  EXPECT_EQ(RoundSeconds(costs, 25, 3), 3 * 9);
}

// Each micro-batch reads the weights, so a few sequences are best computed together if one stage alone
// reads faster than all at the same time.
TEST(PipelineCostsTest, SharedMemoryIsReadByOneMicroBatch) {
  const PipelineCosts costs = {.num_stages = 2, .read_alone = 6, .read_together = 10, .row = 0.5};
  EXPECT_EQ(NumMicroBatches(costs, 1), 1);
  EXPECT_EQ(NumMicroBatches(costs, 8), 1);
  EXPECT_EQ(NumMicroBatches(costs, 20), 1);  // 2 * 10 either way
  EXPECT_EQ(NumMicroBatches(costs, 21), 2);  // 10.5 rows beside 10
  EXPECT_EQ(NumMicroBatches(costs, 64), 2);
}

// Stages on machines of their own read at the same speed alone and together.
TEST(PipelineCostsTest, MemoryOfTheirOwnMakesMicroBatchesPayAsSoonAsRowsCount) {
  const PipelineCosts costs = {.num_stages = 4, .read_alone = 6, .read_together = 6, .row = 0.5};
  EXPECT_EQ(NumMicroBatches(costs, 12), 1);
  EXPECT_EQ(NumMicroBatches(costs, 13), 2);
  EXPECT_EQ(NumMicroBatches(costs, 24), 2);
  EXPECT_EQ(NumMicroBatches(costs, 200), 4);
}

TEST(PipelineCostsTest, UnmeasuredCostsGiveEachStageAMicroBatch) {
  EXPECT_EQ(NumMicroBatches({.num_stages = 1}, 9), 1);
  EXPECT_EQ(NumMicroBatches({.num_stages = 3}, 9), 3);
  EXPECT_EQ(NumMicroBatches({.num_stages = 3}, 2), 2);
  EXPECT_EQ(NumMicroBatches({.num_stages = 3}, 0), 1);
}

TEST(PipelineCostsTest, PromptStepsAreSmallBesideAllPrompts) {
  const PipelineCosts costs = {.num_stages = 2, .read_alone = 6, .read_together = 10, .row = 0.5};
  EXPECT_EQ(PromptStepTokens(costs, {8, 4096}, 512), 128);
  EXPECT_EQ(PromptStepTokens(costs, {64, 32768}, 512), 512);
  EXPECT_EQ(PromptStepTokens(costs, {2, 200}, 512), 40) << "twice the rows of a read";
  EXPECT_EQ(PromptStepTokens({.num_stages = 2}, {2, 200}, 512), 32);
  EXPECT_EQ(PromptStepTokens({.num_stages = 5}, {8, 32768}, 512), 256);
}

TEST(PipelineCostsTest, PromptStepsAreWholeWhereNothingIsGained) {
  EXPECT_EQ(PromptStepTokens({.num_stages = 2}, {1, 512}, 512), 512) << "no other prompt";
  EXPECT_EQ(PromptStepTokens({.num_stages = 1}, {8, 4096}, 512), 512);
  const PipelineCosts reads = {.num_stages = 2, .read_alone = 600, .read_together = 1000, .row = 1};
  EXPECT_EQ(PromptStepTokens(reads, {8, 4096}, 512), 512) << "every step only reads";
}

}  // namespace
}  // namespace dray::scheduler
