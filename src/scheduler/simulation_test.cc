// The scheduler keeps its rules in every step of many simulations (testing/simulation.h).
//
// DRAY_SIM_SEEDS sets the number of seeds, DRAY_SIM_FIRST_SEED the first. A failure prints its
// seed.
#include "scheduler/testing/simulation.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <string>

#include "base/parse/parse_number.h"

namespace dray::scheduler {
namespace {

uint64_t FromEnvironment(const char* name, uint64_t fallback) {
  const char* text = std::getenv(name);
  if (text == nullptr) return fallback;
  return ParseUint64(text).value_or(fallback);
}

class SimulationTest : public ::testing::TestWithParam<size_t> {};

TEST_P(SimulationTest, RulesHoldInEveryStep) {
  const uint64_t num_seeds = FromEnvironment("DRAY_SIM_SEEDS", 1000);
  const uint64_t first = FromEnvironment("DRAY_SIM_FIRST_SEED", 1);
  int64_t num_events = 0;
  int64_t num_preemptions = 0;
  int64_t num_copies = 0;
  int64_t num_accepted = 0;
  int64_t num_rejected = 0;
  int64_t num_overlaps = 0;
  int64_t num_pieces = 0;
  const auto start = std::chrono::steady_clock::now();
  for (uint64_t seed = first; seed < first + num_seeds; ++seed) {
    Simulation simulation(seed, GetParam());
    const std::string error = simulation.Run();
    ASSERT_EQ(error, "") << "DRAY_SIM_FIRST_SEED=" << seed << " DRAY_SIM_SEEDS=1 runs it again";
    num_events += simulation.num_events();
    num_preemptions += simulation.num_preemptions();
    num_copies += simulation.num_copies();
    num_accepted += simulation.num_accepted();
    num_rejected += simulation.num_rejected();
    num_overlaps += simulation.num_overlaps();
    num_pieces += simulation.num_pieces();
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  fmt::print(
      "{} seeds, {} events, {} preemptions, {} block copies, {} guesses accepted, {} refused, {} "
      "overlapping steps, {} pieces behind others, {:.2f} million events/s\n",
      num_seeds, num_events, num_preemptions, num_copies, num_accepted, num_rejected, num_overlaps,
      num_pieces, static_cast<double>(num_events) / seconds.count() / 1e6);
  // The simulator must reach what it is to check.
  if (num_seeds >= 100) {
    const auto seeds = static_cast<int64_t>(num_seeds);
    EXPECT_GT(num_preemptions, seeds);
    EXPECT_GT(num_copies, seeds / 4);
    EXPECT_GT(num_accepted, seeds);
    EXPECT_GT(num_rejected, seeds);
    if (GetParam() > 1) {
      EXPECT_GT(num_overlaps, 10 * seeds);
      EXPECT_GT(num_pieces, seeds);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(StepsInFlight, SimulationTest, ::testing::Values(1, 2, 3, 4));

}  // namespace
}  // namespace dray::scheduler
