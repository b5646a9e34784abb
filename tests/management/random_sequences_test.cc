#include "management/random_sequences.h"

#include <gtest/gtest.h>

namespace dray::testing {
namespace {

// management_tool runs as many as one likes.
TEST(RandomSequencesTest, NoRequestIsLostAndNothingIsLeft) {
  int64_t answered = 0;
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    const SequenceResult result = RunRandomSequence(seed, 15);
    answered += result.answered;
    for (const std::string& problem : result.problems) {
      ADD_FAILURE() << "seed " << seed << ": " << problem;
    }
  }
  EXPECT_GT(answered, 0);
}

}  // namespace
}  // namespace dray::testing
