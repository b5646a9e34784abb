// Prompts that must be computed in one step, as those of encoder-decoders.
#include <gtest/gtest.h>

#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "scheduler/scheduler.h"

namespace dray::scheduler {
namespace {

class WholePromptsTest : public testing::Test {
 protected:
  // {id, first token, number of tokens} of each entry.
  using Rows = std::vector<std::tuple<uint64_t, int64_t, int64_t>>;

  void SetUp() override { Start(24, {}); }
  void Start(int64_t max_batch_tokens, const PipelineCosts& pipeline) {
    auto scheduler = Scheduler::Create({.num_blocks = 16,
                                        .block_size = 4,
                                        .max_batch_tokens = max_batch_tokens,
                                        .max_sequences = 4,
                                        .max_prefill_chunk_tokens = 3,
                                        .whole_prompts = true,
                                        .pipeline = pipeline});
    ASSERT_TRUE(scheduler.ok()) << scheduler.status().ToString();
    scheduler_.emplace(std::move(scheduler).value());
  }

  Status Add(uint64_t id, int64_t num_prompt_tokens, int64_t max_new_tokens) {
    return scheduler_->Add({SequenceId(id), num_prompt_tokens, max_new_tokens});
  }

  // Plans a step, and ends it with one new token for each entry that samples.
  Rows Step() {
    const scheduler::Plan& plan = scheduler_->Schedule();
    Rows rows;
    std::vector<SequenceResult> results;
    for (const PlanEntry& entry : plan.entries) {
      rows.emplace_back(entry.id.value(), entry.first_token, entry.num_tokens);
      if (entry.sampling == Sampling::kYes) results.push_back({.id = entry.id});
    }
    if (!rows.empty()) scheduler_->Update(results);
    const Status status = scheduler_->CheckIntegrity();
    EXPECT_TRUE(status.ok()) << status.ToString();
    return rows;
  }

  std::optional<Scheduler> scheduler_;
};

TEST_F(WholePromptsTest, APromptIsNotCut) {
  ASSERT_TRUE(Add(1, 17, 5).ok());
  EXPECT_EQ(Step(), (Rows{{1, 0, 17}}));
  EXPECT_EQ(Step(), (Rows{{1, 17, 1}}));
}

TEST_F(WholePromptsTest, APromptWaitsForAStepWithRoom) {
  ASSERT_TRUE(Add(1, 15, 5).ok());
  ASSERT_TRUE(Add(2, 10, 5).ok());
  ASSERT_TRUE(Add(3, 2, 5).ok());  // passes no other
  EXPECT_EQ(Step(), (Rows{{1, 0, 15}}));
  EXPECT_EQ(Step(), (Rows{{1, 15, 1}, {2, 0, 10}, {3, 0, 2}}));
}

TEST_F(WholePromptsTest, APromptLongerThanTheShareOfAStepInAPipelineIsNotCut) {
  const PipelineCosts costs = {.num_stages = 2, .row = 1};
  ASSERT_EQ(PromptStepTokens(costs, 40, 64), 32);
  Start(64, costs);
  ASSERT_TRUE(Add(1, 40, 5).ok());
  EXPECT_EQ(Step(), (Rows{{1, 0, 40}}));
  EXPECT_EQ(Step(), (Rows{{1, 40, 1}}));
}

TEST_F(WholePromptsTest, WhatWasGeneratedMayFollowInPieces) {
  ASSERT_TRUE(Add(1, 6, 20).ok());
  for (int i = 0; i < 8; ++i) Step();
  scheduler_->PreemptAll();
  EXPECT_EQ(Step(), (Rows{{1, 0, 6}}));
  EXPECT_EQ(Step(), (Rows{{1, 6, 3}}));
  EXPECT_EQ(Step(), (Rows{{1, 9, 3}}));
}

TEST_F(WholePromptsTest, AForkGoesOnFromItsParentsPrompt) {
  ASSERT_TRUE(Add(1, 6, 5).ok());
  ASSERT_TRUE(scheduler_->Fork(SequenceId(1), SequenceId(2)).ok());
  EXPECT_EQ(Step(), (Rows{{1, 0, 6}}));
  EXPECT_EQ(Step(), (Rows{{1, 6, 1}, {2, 5, 1}}));
}

TEST_F(WholePromptsTest, APromptForWhichNoStepHasRoomIsRefused) {
  EXPECT_TRUE(Add(1, 20, 5).ok());
  const Status status = Add(2, 21, 5);
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("a prompt of 21 tokens"), std::string::npos) << status.message();
}

}  // namespace
}  // namespace dray::scheduler
