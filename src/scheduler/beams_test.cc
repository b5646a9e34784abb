// Beams share their blocks, part by copies, and are served like other sequences.
#include <gtest/gtest.h>

#include <vector>

#include "scheduler/scheduler.h"
#include "scheduler/testing/beam_simulation.h"

namespace dray::scheduler {
namespace {

constexpr SequenceId kFirst(1), kSecond(2), kThird(3);

Scheduler MakeScheduler(int32_t num_blocks, int64_t max_sequences = 4) {
  return Scheduler::Create(
             {.num_blocks = num_blocks, .block_size = 4, .max_sequences = max_sequences})
      .value();
}

// Plans and finishes a step in which every entry samples and is held.
const Plan& HoldAll(Scheduler& scheduler) {
  const Plan& plan = scheduler.Schedule();
  std::vector<SequenceResult> results;
  for (const PlanEntry& entry : plan.entries) {
    results.push_back({.id = entry.id, .num_new_tokens = 0, .outcome = Outcome::kHeld});
  }
  EXPECT_TRUE(scheduler.Update(results).empty());
  return plan;
}

TEST(BeamsTest, ABeamIsCopiedOnlyWhenItWritesToABlockThatOthersHold) {
  Scheduler scheduler = MakeScheduler(20);
  ASSERT_TRUE(
      scheduler.Add({.id = kFirst, .num_prompt_tokens = 6, .max_new_tokens = 8, .num_beams = 3})
          .ok());
  HoldAll(scheduler);
  scheduler.ContinueBeams({{{kFirst, kFirst}, {kSecond, kFirst}, {kThird, kFirst}}});
  // Six tokens in two blocks, which all beams hold.
  EXPECT_EQ(scheduler.blocks().num_free(), 18);
  const Plan& plan = HoldAll(scheduler);
  ASSERT_EQ(plan.entries.size(), 3u);
  // The last holder of the second block writes to the block itself.
  EXPECT_EQ(plan.block_copies.size(), 2u);
  EXPECT_EQ(scheduler.blocks().num_free(), 16);
  for (const PlanEntry& entry : plan.entries) {
    EXPECT_EQ(entry.first_token, 6);
    EXPECT_EQ(entry.num_tokens, 1);
    EXPECT_EQ(entry.block_table[0], plan.entries[0].block_table[0]);
  }
  // All become the second beam: its blocks are shared again, and the others' are free.
  scheduler.ContinueBeams({{{kFirst, kSecond}, {kSecond, kSecond}, {kThird, kSecond}}});
  EXPECT_EQ(scheduler.blocks().num_free(), 18);
  EXPECT_TRUE(scheduler.CheckIntegrity().ok());
}

TEST(BeamsTest, BeamsThatStayApartCopyNothing) {
  Scheduler scheduler = MakeScheduler(20);
  ASSERT_TRUE(
      scheduler.Add({.id = kFirst, .num_prompt_tokens = 4, .max_new_tokens = 8, .num_beams = 2})
          .ok());
  HoldAll(scheduler);
  scheduler.ContinueBeams({{{kFirst, kFirst}, {kSecond, kFirst}}});
  for (int step = 0; step < 5; ++step) {
    EXPECT_TRUE(HoldAll(scheduler).block_copies.empty());
    // The two change places.
    scheduler.ContinueBeams({{{kFirst, kSecond}, {kSecond, kFirst}}});
  }
}

TEST(BeamsTest, RefusesBeamsThatCannotAllBeHeld) {
  Scheduler scheduler = MakeScheduler(6);
  // Three blocks for each beam.
  const SequenceSpec spec = {.id = kFirst, .num_prompt_tokens = 6, .max_new_tokens = 6};
  SequenceSpec beams = spec;
  beams.num_beams = 3;
  const Status blocks = scheduler.Add(beams);
  EXPECT_EQ(blocks.code(), StatusCode::kInvalidArgument);
  EXPECT_NE(blocks.message().find("3 beams"), std::string::npos) << blocks.message();
  beams.num_beams = 5;
  EXPECT_EQ(scheduler.Add(beams).code(), StatusCode::kInvalidArgument);
  beams.num_beams = 2;
  EXPECT_TRUE(scheduler.Add(beams).ok());
}

TEST(BeamsTest, NoValueIsEverLostOrMixedUp) {
  int64_t num_copies = 0, num_preemptions = 0, num_moves = 0;
  for (uint64_t seed = 1; seed <= 1500; ++seed) {
    const size_t max_in_flight = 1 + seed % 3;
    BeamSimulation simulation(seed, max_in_flight);
    ASSERT_EQ(simulation.Run(), "") << "seed " << seed << ", " << max_in_flight << " in flight";
    num_copies += simulation.num_copies();
    num_preemptions += simulation.num_preemptions();
    num_moves += simulation.num_moves();
  }
  EXPECT_GT(num_copies, 1000);
  EXPECT_GT(num_preemptions, 1000);
  EXPECT_GT(num_moves, 1000);
}

}  // namespace
}  // namespace dray::scheduler
