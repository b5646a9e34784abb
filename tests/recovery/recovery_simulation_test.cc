// No token is lost, doubled or wrong in many simulations of a group of ranks that keeps failing
// (recovery_simulation.h).
//
// DRAY_SIM_SEEDS sets the number of seeds, DRAY_SIM_FIRST_SEED the first. A failure prints its
// seed.
#include "recovery/recovery_simulation.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "base/log.h"
#include "base/parse/parse_number.h"

namespace dray::testing {
namespace {

uint64_t FromEnvironment(const char* name, uint64_t fallback) {
  const char* text = std::getenv(name);
  if (text == nullptr) return fallback;
  return ParseUint64(text).value_or(fallback);
}

TEST(RecoverySimulationTest, NoTokenIsLostDoubledOrWrong) {
  SetLogLevel(LogLevel::kOff);
  const uint64_t num_seeds = FromEnvironment("DRAY_SIM_SEEDS", 200);
  const uint64_t first = FromEnvironment("DRAY_SIM_FIRST_SEED", 1);
  RecoveryCounts counts;
  for (uint64_t seed = first; seed < first + num_seeds; ++seed) {
    RecoverySimulation simulation(seed);
    const std::string error = simulation.Run();
    ASSERT_EQ(error, "") << "DRAY_SIM_FIRST_SEED=" << seed << " DRAY_SIM_SEEDS=1 runs it again";
    counts.Add(simulation.counts());
  }
  fmt::print(
      "{} seeds: {} requests, {} tokens, {} cancelled, {} that end ranks; faults: {} deaths, {} "
      "hangs, {} delays, {} garbled messages; {} restarts, {} of no use; {} preemptions, {} "
      "guesses "
      "accepted, {} messages out of order, {} of earlier groups\n",
      num_seeds, counts.requests, counts.tokens, counts.cancelled, counts.deadly, counts.faults[1],
      counts.faults[2], counts.faults[3], counts.faults[4], counts.restarts, counts.failed_restarts,
      counts.preemptions, counts.accepted, counts.reordered, counts.stale);
  // The simulation must reach what it is to check.
  if (num_seeds < 100) return;
  const auto seeds = static_cast<int64_t>(num_seeds);
  for (size_t fault = 1; fault < kNumFaults; ++fault) EXPECT_GT(counts.faults[fault], 2 * seeds);
  EXPECT_GT(counts.restarts, 5 * seeds);
  EXPECT_GT(counts.failed_restarts, seeds / 4);
  EXPECT_GT(counts.deadly, seeds / 4);
  EXPECT_GT(counts.cancelled, seeds);
  EXPECT_GT(counts.preemptions, 5 * seeds);
  EXPECT_GT(counts.accepted, seeds);
  EXPECT_GT(counts.reordered, 100 * seeds);
  EXPECT_GT(counts.stale, seeds);
}

}  // namespace
}  // namespace dray::testing
