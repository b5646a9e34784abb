// The scheduler's rules one by one, without a model: each test says what the engine would see.
#include "scheduler/scheduler.h"

#include <gtest/gtest.h>

#include <string>
#include <tuple>
#include <vector>

#include "base/testing/allocation_counter.h"

namespace dray::scheduler {
namespace {

SchedulerOptions SmallOptions() {
  SchedulerOptions options;
  options.num_blocks = 16;
  options.block_size = 4;
  options.max_batch_tokens = 16;
  options.max_sequences = 4;
  options.max_prefill_chunk_tokens = 8;
  return options;
}

class SchedulerTest : public testing::Test {
 protected:
  // {id, first token, number of tokens, samples?} of each entry.
  using Row = std::tuple<uint64_t, int64_t, int64_t, bool>;
  using Rows = std::vector<Row>;
  using Ids = std::vector<uint64_t>;

  void Start(const SchedulerOptions& options) {
    auto result = Scheduler::Create(options);
    ASSERT_TRUE(result.ok()) << result.status().ToString();
    scheduler_.emplace(std::move(result).value());
  }

  Status Add(uint64_t id, int64_t num_prompt_tokens, int64_t max_new_tokens) {
    return scheduler_->Add({SequenceId(id), num_prompt_tokens, max_new_tokens});
  }

  Rows Plan() {
    plan_ = &scheduler_->Schedule();
    Rows rows;
    for (const PlanEntry& entry : plan_->entries) {
      rows.emplace_back(entry.id.value(), entry.first_token, entry.num_tokens,
                        entry.sampling == Sampling::kYes);
    }
    return rows;
  }

  // Ends the step: one new token for each entry that samples; `finished` also end.
  // Returns who ended.
  Ids Finish(const Ids& finished = {}) {
    std::vector<SequenceResult> results;
    for (const PlanEntry& entry : plan_->entries) {
      if (entry.sampling == Sampling::kNo) continue;
      const bool ends =
          std::find(finished.begin(), finished.end(), entry.id.value()) != finished.end();
      results.push_back({entry.id, 1, ends ? Outcome::kFinished : Outcome::kGoesOn});
    }
    Ids ended;
    for (const SequenceId id : scheduler_->Update(results)) ended.push_back(id.value());
    const Status status = scheduler_->CheckIntegrity();
    EXPECT_TRUE(status.ok()) << status.ToString();
    return ended;
  }

  Rows Step(const Ids& finished = {}) {
    Rows rows = Plan();
    Finish(finished);
    return rows;
  }

  Ids Preempted() const {
    Ids ids;
    for (const SequenceId id : plan_->preempted) ids.push_back(id.value());
    return ids;
  }

  std::optional<Scheduler> scheduler_;
  const scheduler::Plan* plan_ = nullptr;
};

TEST_F(SchedulerTest, OptionsAreChecked) {
  for (auto change : std::vector<void (*)(SchedulerOptions&)>{
           [](SchedulerOptions& o) { o.num_blocks = 0; },
           [](SchedulerOptions& o) { o.block_size = 0; },
           [](SchedulerOptions& o) { o.max_sequences = 0; },
           [](SchedulerOptions& o) { o.max_batch_tokens = 3; },
           [](SchedulerOptions& o) { o.max_prefill_chunk_tokens = 0; }}) {
    SchedulerOptions options = SmallOptions();
    change(options);
    EXPECT_EQ(Scheduler::Create(options).status().code(), StatusCode::kInvalidArgument);
  }
  SchedulerOptions options = SmallOptions();
  options.max_batch_tokens = 3;
  EXPECT_EQ(Scheduler::Create(options).status().message(),
            "scheduler option max_batch_tokens is 3; it must be at least 4");
}

TEST_F(SchedulerTest, OneSequencePrefillsThenDecodesToItsLimit) {
  Start(SmallOptions());
  EXPECT_TRUE(Plan().empty());
  ASSERT_TRUE(Add(1, 3, 3).ok());
  EXPECT_EQ(Step(), (Rows{{1, 0, 3, true}}));
  EXPECT_EQ(Step(), (Rows{{1, 3, 1, true}}));
  EXPECT_EQ(Plan(), (Rows{{1, 4, 1, true}}));
  EXPECT_EQ(plan_->entries[0].block_table.size(), 2u);
  EXPECT_EQ(Finish(), (Ids{1}));
  EXPECT_TRUE(scheduler_->idle());
  EXPECT_EQ(scheduler_->blocks().num_free(), 16);
  EXPECT_TRUE(Plan().empty());
}

TEST_F(SchedulerTest, FinishedEndsEarly) {
  Start(SmallOptions());
  ASSERT_TRUE(Add(1, 3, 10).ok());
  Plan();
  EXPECT_EQ(Finish({1}), (Ids{1}));
  EXPECT_FALSE(scheduler_->Contains(SequenceId(1)));
}

TEST_F(SchedulerTest, SeveralNewTokensAreCaughtUpWith) {
  Start(SmallOptions());
  ASSERT_TRUE(Add(1, 3, 6).ok());
  Plan();
  const SequenceResult three[] = {{SequenceId(1), 3, Outcome::kGoesOn}};
  scheduler_->Update(three);
  EXPECT_EQ(Plan(), (Rows{{1, 3, 3, true}}));
  EXPECT_EQ(scheduler_->Update(three).size(), 1u);
}

TEST_F(SchedulerTest, PromptIsCutIntoChunks) {
  Start(SmallOptions());
  ASSERT_TRUE(Add(1, 19, 2).ok());
  EXPECT_EQ(Step(), (Rows{{1, 0, 8, false}}));
  EXPECT_EQ(Step(), (Rows{{1, 8, 8, false}}));
  EXPECT_EQ(Step(), (Rows{{1, 16, 3, true}}));
  EXPECT_EQ(Step(), (Rows{{1, 19, 1, true}}));
}

TEST_F(SchedulerTest, DecodesGoBeforeLongPrompts) {
  SchedulerOptions options = SmallOptions();
  options.max_batch_tokens = 10;
  options.max_prefill_chunk_tokens = 10;
  Start(options);
  ASSERT_TRUE(Add(1, 25, 2).ok());
  ASSERT_TRUE(Add(2, 2, 5).ok());
  EXPECT_EQ(Step(), (Rows{{1, 0, 10, false}}));
  EXPECT_EQ(Step(), (Rows{{1, 10, 10, false}}));
  // The rest of the budget goes to the next in line.
  EXPECT_EQ(Step(), (Rows{{1, 20, 5, true}, {2, 0, 2, true}}));
  ASSERT_TRUE(Add(3, 20, 2).ok());
  EXPECT_EQ(Step(), (Rows{{1, 25, 1, true}, {2, 2, 1, true}, {3, 0, 8, false}}));
  EXPECT_EQ(Step(), (Rows{{2, 3, 1, true}, {3, 8, 9, false}}));
}

TEST_F(SchedulerTest, EarlierLongStretchLeavesLaterDecodeItsToken) {
  SchedulerOptions options = SmallOptions();
  options.max_batch_tokens = 8;
  Start(options);
  ASSERT_TRUE(Add(1, 2, 20).ok());
  ASSERT_TRUE(Add(2, 2, 20).ok());
  Plan();
  const SequenceResult results[] = {{SequenceId(1), 8}, {SequenceId(2), 1}};
  scheduler_->Update(results);
  EXPECT_EQ(Step(), (Rows{{1, 2, 7, false}, {2, 2, 1, true}}));
  EXPECT_EQ(Step(), (Rows{{1, 9, 1, true}, {2, 3, 1, true}}));
}

TEST_F(SchedulerTest, NumberOfRunningSequencesIsLimited) {
  Start(SmallOptions());
  for (uint64_t id = 1; id <= 6; ++id) ASSERT_TRUE(Add(id, 1, 5).ok());
  EXPECT_EQ(Plan().size(), 4u);
  EXPECT_EQ(scheduler_->num_waiting(), 2);
  Finish({2});
  EXPECT_EQ(Step(), (Rows{{1, 1, 1, true}, {3, 1, 1, true}, {4, 1, 1, true}, {5, 0, 1, true}}));
}

TEST_F(SchedulerTest, AddRefusesWhatCanNeverFit) {
  Start(SmallOptions());
  EXPECT_TRUE(Add(1, 60, 4).ok());
  const Status status = Add(2, 61, 4);
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(),
            "a prompt of 61 tokens and max_new_tokens 4 do not fit the KV cache of 64 tokens; "
            "shorten the prompt, lower max_new_tokens or give the cache more memory");
  EXPECT_EQ(Add(3, INT64_MAX, INT64_MAX).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(Add(3, 1, INT64_MAX).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(Add(3, 0, 4).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(Add(3, 4, 0).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(Add(3, -1, 4).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(Add(1, 1, 1).code(), StatusCode::kInvalidArgument);
}

TEST_F(SchedulerTest, NobodyPassesTheFirstInLine) {
  SchedulerOptions options = SmallOptions();
  options.num_blocks = 4;
  Start(options);
  ASSERT_TRUE(Add(1, 8, 8).ok());
  ASSERT_TRUE(Add(2, 9, 4).ok());  // needs three blocks; two are free
  ASSERT_TRUE(Add(3, 1, 1).ok());  // would fit
  EXPECT_EQ(Step(), (Rows{{1, 0, 8, true}}));
  EXPECT_EQ(Step({1}), (Rows{{1, 8, 1, true}}));
  EXPECT_EQ(Step(), (Rows{{2, 0, 8, false}, {3, 0, 1, true}}));
}

TEST_F(SchedulerTest, NewcomersLeaveBlocksThatAreAboutToBeNeeded) {
  SchedulerOptions options = SmallOptions();
  options.num_blocks = 4;
  Start(options);
  ASSERT_TRUE(Add(1, 12, 4).ok());
  ASSERT_TRUE(Add(2, 1, 1).ok());
  EXPECT_EQ(Step(), (Rows{{1, 0, 8, false}}));
  EXPECT_EQ(scheduler_->blocks().num_free(), 2);
}

TEST_F(SchedulerTest, LongStretchIsShortenedToTheFreeBlocksBeforeAnyoneIsPreempted) {
  SchedulerOptions options = SmallOptions();
  options.num_blocks = 4;
  options.max_prefill_chunk_tokens = 16;
  Start(options);
  ASSERT_TRUE(Add(1, 4, 12).ok());
  ASSERT_TRUE(Add(2, 4, 12).ok());
  Plan();
  const SequenceResult results[] = {{SequenceId(1), 11}, {SequenceId(2), 1}};
  scheduler_->Update(results);
  EXPECT_EQ(Step(), (Rows{{1, 4, 8, false}}));
  EXPECT_EQ(scheduler_->num_running(), 2);
  EXPECT_EQ(Step(), (Rows{{1, 12, 3, true}}));
  EXPECT_EQ(Preempted(), (Ids{2}));
}

TEST_F(SchedulerTest, LatestArrivalIsPreemptedAndComesBackWithItsTokens) {
  SchedulerOptions options = SmallOptions();
  options.num_blocks = 4;
  Start(options);
  ASSERT_TRUE(Add(1, 6, 10).ok());
  ASSERT_TRUE(Add(2, 6, 10).ok());
  EXPECT_EQ(Step(), (Rows{{1, 0, 6, true}, {2, 0, 6, true}}));
  EXPECT_EQ(Step(), (Rows{{1, 6, 1, true}, {2, 6, 1, true}}));
  EXPECT_EQ(Step(), (Rows{{1, 7, 1, true}, {2, 7, 1, true}}));
  // Both need a third block; none is free, so the later one gives up its two.
  ASSERT_TRUE(Add(3, 1, 1).ok());
  EXPECT_EQ(Plan(), (Rows{{1, 8, 1, true}}));
  EXPECT_EQ(Preempted(), (Ids{2}));
  EXPECT_EQ(scheduler_->num_waiting(), 2);
  EXPECT_EQ(scheduler_->num_preemptions(), 1);
  Finish({1});
  // It is again before sequence 3, and computes its 6 + 3 tokens anew, in chunks.
  EXPECT_EQ(Step(), (Rows{{2, 0, 8, false}, {3, 0, 1, true}}));
  EXPECT_EQ(Step(), (Rows{{2, 8, 1, true}}));
  EXPECT_EQ(Step(), (Rows{{2, 9, 1, true}}));
}

TEST_F(SchedulerTest, LatestArrivalHoldsStillRatherThanLoseItsOwnBlocks) {
  SchedulerOptions options = SmallOptions();
  options.num_blocks = 4;
  Start(options);
  ASSERT_TRUE(Add(1, 9, 3).ok());
  ASSERT_TRUE(Add(2, 2, 10).ok());
  EXPECT_EQ(Step(), (Rows{{1, 0, 8, false}, {2, 0, 2, true}}));
  EXPECT_EQ(Step(), (Rows{{1, 8, 1, true}, {2, 2, 1, true}}));
  EXPECT_EQ(Step(), (Rows{{1, 9, 1, true}, {2, 3, 1, true}}));
  EXPECT_EQ(Plan(), (Rows{{1, 10, 1, true}}));
  EXPECT_TRUE(Preempted().empty());
  EXPECT_EQ(Finish(), (Ids{1}));
  EXPECT_EQ(Step(), (Rows{{2, 4, 1, true}}));
}

TEST_F(SchedulerTest, ForkSharesWholePromptBlocksAndCopiesTheLast) {
  Start(SmallOptions());
  ASSERT_TRUE(Add(1, 7, 8).ok());
  ASSERT_TRUE(scheduler_->Fork(SequenceId(1), SequenceId(2)).ok());
  // The child waits for the prompt, but lets others pass.
  ASSERT_TRUE(Add(3, 1, 2).ok());
  EXPECT_EQ(Step(), (Rows{{1, 0, 7, true}, {3, 0, 1, true}}));
  // It computes only the last prompt token, for its logits.
  EXPECT_EQ(Plan(), (Rows{{1, 7, 1, true}, {3, 1, 1, true}, {2, 6, 1, true}}));
  const auto parent_table = plan_->entries[0].block_table;
  const auto child_table = plan_->entries[2].block_table;
  ASSERT_EQ(parent_table.size(), 2u);
  ASSERT_EQ(child_table.size(), 2u);
  EXPECT_EQ(child_table[0], parent_table[0]);
  EXPECT_NE(child_table[1], parent_table[1]);
  EXPECT_EQ(scheduler_->blocks().num_holders(parent_table[0]), 2);
  ASSERT_EQ(plan_->block_copies.size(), 1u);
  EXPECT_EQ(plan_->block_copies[0].from, parent_table[1]);
  EXPECT_EQ(plan_->block_copies[0].to, child_table[1]);
  const BlockId shared = parent_table[0];
  Finish({1});
  EXPECT_EQ(scheduler_->blocks().num_holders(shared), 1);
  EXPECT_EQ(Step(), (Rows{{2, 7, 1, true}}));
  EXPECT_TRUE(plan_->block_copies.empty());
}

TEST_F(SchedulerTest, ForkAtBlockEdgeCopiesNothing) {
  Start(SmallOptions());
  ASSERT_TRUE(Add(1, 5, 8).ok());
  Step();
  ASSERT_TRUE(scheduler_->Fork(SequenceId(1), SequenceId(2)).ok());
  EXPECT_EQ(Plan(), (Rows{{1, 5, 1, true}, {2, 4, 1, true}}));
  EXPECT_TRUE(plan_->block_copies.empty());
  EXPECT_EQ(plan_->entries[0].block_table[0], plan_->entries[1].block_table[0]);
  EXPECT_NE(plan_->entries[0].block_table[1], plan_->entries[1].block_table[1]);
}

TEST_F(SchedulerTest, ForkComputesThePromptIfItsParentIsGone) {
  Start(SmallOptions());
  ASSERT_TRUE(Add(1, 5, 8).ok());
  ASSERT_TRUE(scheduler_->Fork(SequenceId(1), SequenceId(2)).ok());
  Step({1});
  // Another sequence under the parent's id is not the parent.
  ASSERT_TRUE(Add(1, 5, 8).ok());
  EXPECT_EQ(Step(), (Rows{{2, 0, 5, true}, {1, 0, 5, true}}));
}

TEST_F(SchedulerTest, ForkRefusesUnknownParentAndUsedId) {
  Start(SmallOptions());
  EXPECT_EQ(scheduler_->Fork(SequenceId(1), SequenceId(2)).code(), StatusCode::kNotFound);
  ASSERT_TRUE(Add(1, 5, 8).ok());
  EXPECT_EQ(scheduler_->Fork(SequenceId(1), SequenceId(1)).code(), StatusCode::kInvalidArgument);
}

TEST_F(SchedulerTest, ForkWaitsBeforeLaterArrivals) {
  SchedulerOptions options = SmallOptions();
  options.max_sequences = 2;
  Start(options);
  for (uint64_t id = 1; id <= 4; ++id) ASSERT_TRUE(Add(id, 2, 8).ok());
  Step();
  ASSERT_TRUE(scheduler_->Fork(SequenceId(1), SequenceId(10)).ok());
  Step({2});
  EXPECT_EQ(Step(), (Rows{{1, 3, 1, true}, {10, 1, 1, true}}));
}

TEST_F(SchedulerTest, CancelFreesAtOnceOrWhenTheStepEnds) {
  Start(SmallOptions());
  EXPECT_FALSE(scheduler_->Cancel(SequenceId(1)));
  ASSERT_TRUE(Add(1, 4, 8).ok());
  ASSERT_TRUE(Add(2, 4, 8).ok());
  ASSERT_TRUE(Add(3, 4, 8).ok());
  EXPECT_TRUE(scheduler_->Cancel(SequenceId(3)));  // waiting
  EXPECT_EQ(Plan().size(), 2u);
  EXPECT_TRUE(scheduler_->Cancel(SequenceId(1)));  // in flight
  EXPECT_FALSE(scheduler_->Cancel(SequenceId(1)));
  EXPECT_FALSE(scheduler_->Contains(SequenceId(1)));
  EXPECT_EQ(scheduler_->blocks().num_free(), 14);
  EXPECT_TRUE(Add(1, 6, 2).ok());  // the id is free again, the blocks are not
  EXPECT_TRUE(Finish().empty());
  EXPECT_EQ(scheduler_->blocks().num_free(), 15);
  EXPECT_EQ(Step(), (Rows{{2, 4, 1, true}, {1, 0, 6, true}}));
  EXPECT_TRUE(scheduler_->Cancel(SequenceId(2)));  // running, between steps
  EXPECT_EQ(scheduler_->blocks().num_free(), 14);
}

TEST_F(SchedulerTest, PreemptAllForgetsTheStepInFlight) {
  Start(SmallOptions());
  ASSERT_TRUE(Add(1, 4, 8).ok());
  ASSERT_TRUE(Add(2, 3, 8).ok());
  ASSERT_TRUE(Add(3, 3, 8).ok());
  Step();
  Plan();
  EXPECT_TRUE(scheduler_->Cancel(SequenceId(3)));
  scheduler_->PreemptAll();
  EXPECT_EQ(scheduler_->num_running(), 0);
  EXPECT_EQ(scheduler_->blocks().num_free(), 16);
  EXPECT_EQ(Step(), (Rows{{1, 0, 5, true}, {2, 0, 4, true}}));
}

TEST_F(SchedulerTest, WarmDecodeStepsAllocateNothing) {
  SchedulerOptions options = SmallOptions();
  options.num_blocks = 4096;
  options.max_sequences = 8;
  Start(options);
  for (uint64_t id = 0; id < 8; ++id) ASSERT_TRUE(Add(id, 2, 1500).ok());
  std::vector<SequenceResult> results;
  results.reserve(8);
  int64_t before = 0;
  for (int step = 0; step < 1000; ++step) {
    if (step == 10) before = NumAllocations();
    results.clear();
    for (const PlanEntry& entry : scheduler_->Schedule().entries) results.push_back({entry.id});
    scheduler_->Update(results);
  }
  EXPECT_EQ(NumAllocations() - before, 0);
  EXPECT_EQ(scheduler_->num_running(), 8);
}

}  // namespace
}  // namespace dray::scheduler
