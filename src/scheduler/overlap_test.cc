// Steps that overlap: what is planned while others are in flight, and whose blocks stay whose.
#include <gtest/gtest.h>

#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "base/testing/allocation_counter.h"
#include "scheduler/scheduler.h"

namespace dray::scheduler {
namespace {

class OverlapTest : public testing::Test {
 protected:
  // {id, first token, number of tokens, guesses among them} of each entry.
  using Row = std::tuple<uint64_t, int64_t, int64_t, int64_t>;
  using Rows = std::vector<Row>;

  void SetUp() override { Start(16); }

  void Start(int32_t num_blocks, int64_t num_stages = 1) {
    auto scheduler = Scheduler::Create({.num_blocks = num_blocks,
                                        .block_size = 4,
                                        .max_batch_tokens = 8,
                                        .max_sequences = 4,
                                        .max_prefill_chunk_tokens = 8,
                                        .pipeline = {.num_stages = num_stages}});
    ASSERT_TRUE(scheduler.ok()) << scheduler.status().ToString();
    scheduler_.emplace(std::move(scheduler).value());
    plans_.clear();
  }

  void Add(uint64_t id, int64_t num_prompt_tokens, int64_t max_new_tokens) {
    ASSERT_TRUE(scheduler_->Add({SequenceId(id), num_prompt_tokens, max_new_tokens}).ok());
  }

  Rows Plan(const std::vector<DraftProposal>& proposals = {}) {
    const scheduler::Plan& plan = scheduler_->Schedule(proposals);
    if (!plan.empty()) plans_.push_back(&plan);
    preempted_ = plan.preempted;
    Rows rows;
    for (const PlanEntry& entry : plan.entries) {
      rows.emplace_back(entry.id.value(), entry.first_token, entry.num_tokens, entry.num_drafts);
    }
    return rows;
  }

  // Ends the oldest step: one new token for each entry that samples.
  void Finish() {
    std::vector<SequenceResult> results;
    for (const PlanEntry& entry : plans_.front()->entries) {
      if (entry.sampling == Sampling::kYes) results.push_back({.id = entry.id});
    }
    plans_.erase(plans_.begin());
    scheduler_->Update(results);
    const Status status = scheduler_->CheckIntegrity();
    EXPECT_TRUE(status.ok()) << status.ToString();
  }

  std::optional<Scheduler> scheduler_;
  std::vector<const scheduler::Plan*> plans_;  // in flight, the oldest first
  std::vector<SequenceId> preempted_;
};

TEST_F(OverlapTest, ASequenceInFlightIsNotPlanned) {
  Add(1, 3, 4);
  EXPECT_EQ(Plan(), (Rows{{1, 0, 3, 0}}));
  EXPECT_TRUE(Plan().empty()) << "the only sequence is in flight";
  Add(2, 2, 4);
  EXPECT_EQ(Plan(), (Rows{{2, 0, 2, 0}}));
  Finish();
  EXPECT_EQ(Plan(), (Rows{{1, 3, 1, 0}})) << "the second one is still in flight";
  Finish();
  Finish();
  EXPECT_EQ(Plan(), (Rows{{1, 4, 1, 0}, {2, 2, 1, 0}}));
}

TEST_F(OverlapTest, PiecesOfAPromptFollowEachOther) {
  Add(1, 18, 2);
  EXPECT_EQ(Plan(), (Rows{{1, 0, 8, 0}}));
  EXPECT_EQ(Plan(), (Rows{{1, 8, 8, 0}}));
  EXPECT_EQ(Plan(), (Rows{{1, 16, 2, 0}}));
  EXPECT_EQ(plans_[1]->entries[0].block_table.size(), 4U);
  EXPECT_EQ(plans_[1]->entries[0].sampling, Sampling::kNo);
  EXPECT_EQ(plans_[2]->entries[0].sampling, Sampling::kYes);
  EXPECT_TRUE(Plan().empty()) << "the next token is not known yet";
  for (int i = 0; i < 3; ++i) Finish();
  EXPECT_EQ(Plan(), (Rows{{1, 18, 1, 0}}));
}

TEST_F(OverlapTest, TheLastTokenOfAPromptIsNoDecodeWhileAPieceIsInFlight) {
  Start(16, 2);
  Add(1, 1, 8);
  Plan();
  Finish();
  scheduler_->SetPipelineCosts({.num_stages = 2, .read_alone = 6, .read_together = 10, .row = 1});
  Add(2, 8, 8);
  EXPECT_EQ(Plan(), (Rows{{1, 1, 1, 0}, {2, 0, 7, 0}}));
  EXPECT_EQ(Plan(), (Rows{{2, 7, 1, 0}})) << "it does not wait for the step with decodes";
}

TEST_F(OverlapTest, ACancelledSequenceKeepsItsBlocksUntilItsLastPieceIsBack) {
  Start(4);
  Add(1, 12, 1);
  EXPECT_EQ(Plan(), (Rows{{1, 0, 8, 0}}));
  EXPECT_EQ(Plan(), (Rows{{1, 8, 4, 0}}));
  EXPECT_TRUE(scheduler_->Cancel(SequenceId(1)));
  Finish();
  EXPECT_EQ(scheduler_->blocks().num_free(), 1);
  Finish();
  EXPECT_EQ(scheduler_->blocks().num_free(), 4);
}

TEST_F(OverlapTest, NoPieceOfAnotherRequestFollowsWhileOneIsIsolated) {
  Add(1, 12, 2);
  Add(2, 2, 2);
  EXPECT_EQ(Plan(), (Rows{{1, 0, 8, 0}}));
  scheduler_->Isolate(SequenceId(2));
  EXPECT_EQ(Plan(), (Rows{{2, 0, 2, 0}}));
  Finish();
  EXPECT_TRUE(Plan().empty());
  EXPECT_EQ(preempted_, (std::vector{SequenceId(1)}));
}

TEST_F(OverlapTest, MicroBatchesDivideTheSequences) {
  Start(16, 2);
  for (uint64_t id = 1; id <= 3; ++id) Add(id, 2, 8);
  EXPECT_EQ(Plan(), (Rows{{1, 0, 2, 0}, {2, 0, 2, 0}}));
  EXPECT_EQ(Plan(), (Rows{{3, 0, 2, 0}}));
  EXPECT_TRUE(Plan().empty());
  Finish();
  EXPECT_EQ(Plan(), (Rows{{1, 2, 1, 0}, {2, 2, 1, 0}}));
  Finish();
  // The fifth sequence is beyond max_sequences, so it is not counted.
  Add(4, 2, 8);
  Add(5, 2, 8);
  EXPECT_EQ(Plan(), (Rows{{3, 2, 1, 0}, {4, 0, 2, 0}}));
  Finish();
  Finish();
  EXPECT_EQ(Plan(), (Rows{{1, 3, 1, 0}, {2, 3, 1, 0}}));
  EXPECT_EQ(Plan(), (Rows{{3, 3, 1, 0}, {4, 2, 1, 0}}));
}

// The budget of a step that has few sequences belongs to them alone.
TEST_F(OverlapTest, MicroBatchesSetAsideTokensForTheirOwnDecodes) {
  Start(16, 2);
  for (uint64_t id = 1; id <= 2; ++id) Add(id, 1, 8);
  Plan();
  Plan();
  Finish();
  Finish();
  Add(3, 8, 8);
  EXPECT_EQ(Plan(), (Rows{{1, 1, 1, 0}, {2, 1, 1, 0}}));
  EXPECT_EQ(Plan(), (Rows{{3, 0, 8, 0}}));
}

// Two halves of the sequences that are in flight one after the other become one micro-batch again.
TEST_F(OverlapTest, DecodesComeTogetherIfOneMicroBatchIsBest) {
  Start(16, 2);
  for (uint64_t id = 1; id <= 2; ++id) Add(id, 1, 8);
  Plan();
  Plan();
  scheduler_->SetPipelineCosts({.num_stages = 2, .read_alone = 6, .read_together = 10, .row = 1});
  Finish();
  EXPECT_EQ(Plan(), (Rows{{1, 1, 1, 0}}));
  Finish();
  EXPECT_TRUE(Plan().empty()) << "a step with decodes is in flight";
  Add(3, 2, 8);
  EXPECT_EQ(Plan(), (Rows{{3, 0, 2, 0}})) << "prompts do not wait for decodes";
  Finish();
  EXPECT_EQ(Plan(), (Rows{{1, 2, 1, 0}, {2, 1, 1, 0}}));
}

TEST_F(OverlapTest, CostsBoundThePromptTokensOfAStep) {
  Start(64, 2);
  const PipelineCosts costs = {.num_stages = 2, .read_alone = 6, .read_together = 10, .row = 5};
  scheduler_->SetPipelineCosts(costs);
  Add(1, 1, 8);
  Plan();
  Finish();
  for (uint64_t id = 2; id <= 3; ++id) Add(id, 64, 8);
  const int64_t most = PromptStepTokens(costs, 128, 8);
  EXPECT_EQ(Plan(), (Rows{{1, 1, 1, 0}, {2, 0, most - 1, 0}}));
}

TEST_F(OverlapTest, PlansStayValidUntilTheirUpdate) {
  Add(1, 3, 8);
  Plan();
  for (uint64_t id = 2; id <= 4; ++id) {
    Add(id, 1, 8);
    Plan();
  }
  ASSERT_EQ(plans_.size(), 4U);
  for (uint64_t id = 1; id <= 4; ++id) {
    ASSERT_EQ(plans_.front()->entries.size(), 1U);
    EXPECT_EQ(plans_.front()->entries[0].id, SequenceId(id));
    EXPECT_EQ(plans_.front()->entries[0].block_table.size(), 1U);
    Finish();
  }
}

TEST_F(OverlapTest, GuessesAreForTheStepAtHand) {
  Add(1, 3, 8);
  Add(2, 3, 8);
  Plan();
  Finish();
  const std::vector<DraftProposal> both = {{SequenceId(1), 2}, {SequenceId(2), 1}};
  EXPECT_EQ(Plan(both), (Rows{{1, 3, 3, 2}, {2, 3, 2, 1}}));
  Add(3, 1, 8);
  EXPECT_EQ(Plan(both), (Rows{{3, 0, 1, 0}})) << "the others are in flight";
  EXPECT_EQ(plans_[0]->num_tokens, 5);
}

TEST_F(OverlapTest, BlocksOfACancelledSequenceStayUntilItsStepIsBack) {
  Start(3);
  Add(1, 8, 1);
  EXPECT_EQ(Plan(), (Rows{{1, 0, 8, 0}}));
  EXPECT_TRUE(scheduler_->Cancel(SequenceId(1)));
  Add(2, 8, 1);
  EXPECT_TRUE(Plan().empty()) << "two of the three blocks are in flight";
  Finish();
  EXPECT_EQ(Plan(), (Rows{{2, 0, 8, 0}}));
}

TEST_F(OverlapTest, NobodyTakesBlocksThatAreInFlight) {
  Start(3);
  Add(1, 4, 8);
  Plan();
  Finish();
  EXPECT_EQ(Plan(), (Rows{{1, 4, 1, 0}}));
  Add(2, 1, 8);
  EXPECT_EQ(Plan(), (Rows{{2, 0, 1, 0}}));
  for (int64_t i = 1; i < 4; ++i) {  // to the ends of their blocks
    Finish();
    EXPECT_EQ(Plan(), (Rows{{1, 4 + i, 1, 0}}));
    Finish();
    EXPECT_EQ(Plan(), (Rows{{2, i, 1, 0}}));
  }
  Finish();
  EXPECT_TRUE(Plan().empty()) << "the only sequence that could be preempted is in flight";
  EXPECT_TRUE(preempted_.empty());
  Finish();
  EXPECT_EQ(Plan(), (Rows{{1, 8, 1, 0}}));
  EXPECT_EQ(preempted_, (std::vector{SequenceId(2)}));
}

TEST_F(OverlapTest, LosingTheCacheEndsAllStepsInFlight) {
  Add(1, 4, 8);
  Plan();
  Add(2, 4, 8);
  Plan();
  scheduler_->Cancel(SequenceId(1));
  scheduler_->PreemptAll();
  plans_.clear();
  EXPECT_EQ(scheduler_->blocks().num_free(), 16);
  EXPECT_TRUE(scheduler_->CheckIntegrity().ok());
  EXPECT_EQ(Plan(), (Rows{{2, 0, 4, 0}}));
}

TEST_F(OverlapTest, WarmStepsAllocateNothing) {
  Start(64);
  const SequenceResult results[] = {{.id = SequenceId(1)}, {.id = SequenceId(2)}};
  Add(1, 4, 100);
  Plan();
  Add(2, 4, 100);
  Plan();
  plans_.clear();
  int64_t before = 0;
  for (size_t step = 0; step < 80; ++step) {
    if (step == 8) before = NumAllocations();
    scheduler_->Update({&results[step % 2], 1});
    EXPECT_EQ(scheduler_->Schedule().entries.size(), 1U);
  }
  EXPECT_EQ(NumAllocations(), before);
}

}  // namespace
}  // namespace dray::scheduler
