// The cache is lost with steps in flight, and plans of one request alone.
#include <gtest/gtest.h>

#include <optional>
#include <utility>
#include <vector>

#include "scheduler/scheduler.h"

namespace dray::scheduler {
namespace {

class PreemptionTest : public testing::Test {
 protected:
  using Ids = std::vector<uint64_t>;

  void SetUp() override { Start(16); }

  void Start(int32_t num_blocks) {
    auto scheduler = Scheduler::Create({.num_blocks = num_blocks,
                                        .block_size = 4,
                                        .max_batch_tokens = 32,
                                        .max_sequences = 4,
                                        .max_prefill_chunk_tokens = 8});
    ASSERT_TRUE(scheduler.ok()) << scheduler.status().ToString();
    scheduler_.emplace(std::move(scheduler).value());
    plans_.clear();
  }

  void Add(uint64_t id, int64_t num_prompt_tokens, int64_t max_new_tokens) {
    ASSERT_TRUE(scheduler_->Add({SequenceId(id), num_prompt_tokens, max_new_tokens}).ok());
  }

  // The sequences of the next plan.
  Ids Plan() {
    const scheduler::Plan& plan = scheduler_->Schedule();
    if (!plan.empty()) plans_.push_back(&plan);
    Ids ids;
    for (const PlanEntry& entry : plan.entries) ids.push_back(entry.id.value());
    preempted_.clear();
    for (const SequenceId id : plan.preempted) preempted_.push_back(id.value());
    return ids;
  }

  // Ends the oldest step: one new token for each entry that samples.
  void Finish() {
    std::vector<SequenceResult> results;
    for (const PlanEntry& entry : plans_.front()->entries) {
      if (entry.sampling == Sampling::kYes) results.push_back({.id = entry.id});
    }
    plans_.erase(plans_.begin());
    scheduler_->Update(results);
    ExpectIntegrity();
  }

  void ExpectIntegrity() {
    const Status status = scheduler_->CheckIntegrity();
    EXPECT_TRUE(status.ok()) << status.ToString();
  }

  std::optional<Scheduler> scheduler_;
  std::vector<const scheduler::Plan*> plans_;  // in flight, the oldest first
  Ids preempted_;
};

TEST_F(PreemptionTest, TokensThatCameBeforeTheLossCount) {
  Add(1, 3, 4);
  Add(2, 3, 1);
  Add(3, 3, 4);
  Add(4, 3, 4);
  EXPECT_EQ(Plan(), (Ids{1, 2, 3, 4}));
  EXPECT_TRUE(scheduler_->Cancel(SequenceId(4)));
  const std::vector<SequenceResult> results = {{.id = SequenceId(1), .num_new_tokens = 2},
                                               {.id = SequenceId(2), .num_new_tokens = 1},
                                               {.id = SequenceId(3), .num_new_tokens = 0},
                                               {.id = SequenceId(4), .num_new_tokens = 1}};
  const auto ended = scheduler_->PreemptAll(results);
  ASSERT_EQ(ended.size(), 1U) << "the second sequence has all its tokens";
  EXPECT_EQ(ended[0], SequenceId(2));
  ExpectIntegrity();
  EXPECT_EQ(scheduler_->blocks().num_free(), 16);
  const scheduler::Plan& plan = scheduler_->Schedule();
  ASSERT_EQ(plan.entries.size(), 2U);
  EXPECT_EQ(plan.entries[0].num_tokens, 5) << "the prompt and two tokens";
  EXPECT_EQ(plan.entries[0].first_token, 0);
  EXPECT_EQ(plan.entries[1].id, SequenceId(3));
  EXPECT_EQ(plan.entries[1].num_tokens, 3);
}

TEST_F(PreemptionTest, AnIsolatedSequenceAndItsForksAreAloneInPlans) {
  Add(1, 6, 8);
  Add(2, 6, 8);
  Add(3, 6, 8);
  ASSERT_TRUE(scheduler_->Fork(SequenceId(2), SequenceId(4)).ok());
  scheduler_->Isolate(SequenceId(2));
  EXPECT_EQ(Plan(), (Ids{2}));
  Finish();
  EXPECT_EQ(Plan(), (Ids{2, 4}));
  Finish();
  EXPECT_EQ(scheduler_->num_waiting(), 2);
  scheduler_->EndIsolation();
  EXPECT_EQ(Plan(), (Ids{2, 4, 1, 3}));
}

TEST_F(PreemptionTest, OthersLoseTheirBlocksWhenTheirStepIsBack) {
  Start(3);
  Add(1, 6, 4);
  EXPECT_EQ(Plan(), (Ids{1}));
  Add(2, 6, 4);
  scheduler_->Isolate(SequenceId(2));
  EXPECT_TRUE(Plan().empty()) << "two of three blocks are in flight";
  Finish();
  EXPECT_EQ(Plan(), (Ids{2}));
  EXPECT_EQ(preempted_, (Ids{1}));
  Finish();
  EXPECT_EQ(Plan(), (Ids{2}));
}

TEST_F(PreemptionTest, IsolationEndsWithItsSequence) {
  Add(1, 3, 8);
  Add(2, 3, 1);
  scheduler_->Isolate(SequenceId(2));
  EXPECT_EQ(Plan(), (Ids{2}));
  Finish();
  EXPECT_EQ(Plan(), (Ids{1}));
  Finish();
  Add(3, 3, 8);
  scheduler_->Isolate(SequenceId(3));
  EXPECT_TRUE(scheduler_->Cancel(SequenceId(3)));
  EXPECT_EQ(Plan(), (Ids{1}));
}

}  // namespace
}  // namespace dray::scheduler
