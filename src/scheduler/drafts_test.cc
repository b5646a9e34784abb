// Guessed tokens in the scheduler's plans: what is granted, what becomes of it, and that it costs
// nobody anything.
#include <gtest/gtest.h>

#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "base/testing/allocation_counter.h"
#include "scheduler/scheduler.h"
#include "scheduler/testing/simulation_support.h"

namespace dray::scheduler {
namespace {

Scheduler MakeScheduler(const SchedulerOptions& options) {
  auto scheduler = Scheduler::Create(options);
  EXPECT_TRUE(scheduler.ok()) << scheduler.status().ToString();
  return std::move(scheduler).value();
}

class DraftsTest : public testing::Test {
 protected:
  // {id, first token, number of tokens, guesses among them} of each entry.
  using Row = std::tuple<uint64_t, int64_t, int64_t, int64_t>;
  using Rows = std::vector<Row>;
  using Proposals = std::vector<DraftProposal>;

  void Add(uint64_t id, int64_t num_prompt_tokens, int64_t max_new_tokens) {
    ASSERT_TRUE(scheduler_.Add({SequenceId(id), num_prompt_tokens, max_new_tokens}).ok());
  }

  Rows Plan(const Proposals& proposals = {}) {
    plan_ = &scheduler_.Schedule(proposals);
    Rows rows;
    for (const PlanEntry& entry : plan_->entries) {
      rows.emplace_back(entry.id.value(), entry.first_token, entry.num_tokens, entry.num_drafts);
      EXPECT_GE(static_cast<int64_t>(entry.block_table.size()) * 4,
                entry.first_token + entry.num_tokens);
    }
    return rows;
  }

  // Accepts up to so many guesses of each entry.
  void Finish(int64_t num_accepted) {
    std::vector<SequenceResult> results;
    for (const PlanEntry& entry : plan_->entries) {
      if (entry.sampling == Sampling::kNo) continue;
      const int64_t accepted = std::min(num_accepted, entry.num_drafts);
      results.push_back({entry.id, accepted + 1, Outcome::kGoesOn, accepted});
    }
    scheduler_.Update(results);
    const Status status = scheduler_.CheckIntegrity();
    EXPECT_TRUE(status.ok()) << status.ToString();
  }

  void Step() {
    Plan();
    Finish(0);
  }

  Scheduler scheduler_ = MakeScheduler({.num_blocks = 6,
                                        .block_size = 4,
                                        .max_batch_tokens = 12,
                                        .max_sequences = 4,
                                        .max_prefill_chunk_tokens = 8});
  const scheduler::Plan* plan_ = nullptr;
};

TEST_F(DraftsTest, AcceptedOnesAreComputed) {
  Add(1, 3, 12);
  EXPECT_EQ(Plan({{SequenceId(1), 4}}), (Rows{{1, 0, 3, 0}})) << "it has a prompt to read";
  Finish(0);
  EXPECT_EQ(Plan({{SequenceId(1), 4}}), (Rows{{1, 3, 5, 4}}));
  Finish(2);
  EXPECT_EQ(Plan({{SequenceId(1), 3}}), (Rows{{1, 6, 4, 3}}));
  Finish(3);
  EXPECT_EQ(Plan(), (Rows{{1, 10, 1, 0}}));
  Finish(0);
  EXPECT_EQ(Plan({{SequenceId(1), 0}, {SequenceId(2), 5}}), (Rows{{1, 11, 1, 0}}));
}

TEST_F(DraftsTest, EndAtTheLastTokenButOne) {
  Add(1, 3, 5);
  Step();
  EXPECT_EQ(Plan({{SequenceId(1), 9}}), (Rows{{1, 3, 4, 3}})) << "the fourth new token ends it";
  Finish(3);
  EXPECT_TRUE(scheduler_.idle());
  EXPECT_EQ(scheduler_.blocks().num_free(), 6);
}

TEST_F(DraftsTest, TakeWhatTheBudgetLeaves) {
  Add(1, 2, 20);
  Step();
  Add(2, 7, 4);
  EXPECT_EQ(Plan({{SequenceId(1), 8}}), (Rows{{1, 2, 5, 4}, {2, 0, 7, 0}}));
  Finish(0);
  EXPECT_EQ(Plan({{SequenceId(2), 3}, {SequenceId(1), 20}}), (Rows{{1, 3, 9, 8}, {2, 7, 3, 2}}))
      << "proposals are served in their order, and none passes the last token but one";
}

TEST_F(DraftsTest, TakeFreeBlocksOnlyAndGiveThemBack) {
  Add(1, 7, 16);
  Step();
  EXPECT_EQ(scheduler_.blocks().num_free(), 4);
  EXPECT_EQ(Plan({{SequenceId(1), 8}}), (Rows{{1, 7, 9, 8}}));
  EXPECT_EQ(scheduler_.blocks().num_free(), 2);
  Finish(0);
  EXPECT_EQ(scheduler_.blocks().num_free(), 4);
  Add(2, 8, 4);
  EXPECT_EQ(Plan({{SequenceId(1), 11}}), (Rows{{1, 8, 4, 3}, {2, 0, 8, 0}}))
      << "the prompt goes first";
  Finish(0);
  EXPECT_EQ(scheduler_.blocks().num_free(), 1);
  EXPECT_EQ(Plan({{SequenceId(1), 9}}), (Rows{{1, 9, 3, 2}, {2, 8, 1, 0}}))
      << "the second takes the last block, so there is only what the first one's own still holds";
}

TEST_F(DraftsTest, CancelledInTheMiddleOfAStep) {
  Add(1, 3, 12);
  Step();
  Plan({{SequenceId(1), 6}});
  EXPECT_TRUE(scheduler_.Cancel(SequenceId(1)));
  Finish(3);
  EXPECT_TRUE(scheduler_.idle());
  EXPECT_EQ(scheduler_.blocks().num_free(), 6);
}

TEST_F(DraftsTest, AllocateNothing) {
  Add(1, 3, 18);
  Step();
  const std::vector<DraftProposal> proposals = {{SequenceId(1), 4}};
  std::vector<SequenceResult> results = {{SequenceId(1), 2, Outcome::kGoesOn, 1}};
  const int64_t before = NumAllocations();
  for (int i = 0; i < 6; ++i) {
    scheduler_.Schedule(proposals);
    scheduler_.Update(results);
  }
  EXPECT_EQ(NumAllocations(), before);
}

// What becomes of everybody else if all guesses are wrong: exactly what would without.
TEST(DraftsTwinTest, RefusedOnesLeaveNoTrace) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    Random random(seed);
    const SchedulerOptions options = {.num_blocks = static_cast<int32_t>(random.Between(4, 20)),
                                      .block_size = static_cast<int32_t>(random.Between(1, 5)),
                                      .max_batch_tokens = random.Between(4, 20),
                                      .max_sequences = 4,
                                      .max_prefill_chunk_tokens = random.Between(1, 8)};
    Scheduler plain = MakeScheduler(options);
    Scheduler guessing = MakeScheduler(options);
    for (uint64_t step = 1; step < 200; ++step) {
      const SequenceId id(step);
      if (random.OneIn(4)) {
        const SequenceSpec spec = {id, random.Between(1, 20), random.Between(1, 20)};
        ASSERT_EQ(plain.Add(spec).code(), guessing.Add(spec).code());
      } else if (random.OneIn(4)) {
        const SequenceId parent(static_cast<uint64_t>(random.Between(1, int64_t(step))));
        ASSERT_EQ(plain.Fork(parent, id).code(), guessing.Fork(parent, id).code());
      }
      std::vector<DraftProposal> proposals;
      for (uint64_t i = 1; i <= step; ++i) {
        if (random.OneIn(2)) proposals.push_back({SequenceId(i), random.Between(1, 6)});
      }
      const Plan& a = plain.Schedule();
      const Plan& b = guessing.Schedule(proposals);
      ASSERT_EQ(a.preempted, b.preempted);
      ASSERT_EQ(a.block_copies.size(), b.block_copies.size());
      ASSERT_EQ(a.entries.size(), b.entries.size());
      std::vector<SequenceResult> results;
      for (size_t i = 0; i < a.entries.size(); ++i) {
        const PlanEntry& x = a.entries[i];
        const PlanEntry& y = b.entries[i];
        ASSERT_EQ(std::tuple(x.id, x.first_token, x.num_tokens, x.sampling),
                  std::tuple(y.id, y.first_token, y.num_tokens - y.num_drafts, y.sampling));
        if (x.sampling == Sampling::kYes) results.push_back({x.id});
      }
      if (a.empty()) continue;
      plain.Update(results);
      guessing.Update(results);
      ASSERT_EQ(plain.blocks().num_free(), guessing.blocks().num_free());
    }
  }
}

}  // namespace
}  // namespace dray::scheduler
