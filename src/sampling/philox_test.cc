#include "sampling/philox.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

namespace dray::sampling {
namespace {

using Words = std::array<uint32_t, 4>;

// Test vectors published by the algorithm's authors.
TEST(PhiloxTest, KnownAnswers) {
  EXPECT_EQ(Philox({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(Philox({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(Philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(PhiloxTest, DrawDependsOnSeedPositionAndSample) {
  std::set<double> draws;
  for (const uint64_t seed : {0ull, 1ull, 1ull << 32, ~0ull}) {
    for (const uint64_t position : {0ull, 1ull, 1ull << 32}) {
      for (const uint32_t sample : {0u, 1u}) draws.insert(UniformDraw(seed, position, sample));
    }
  }
  EXPECT_EQ(draws.size(), 24u);
  EXPECT_EQ(UniformDraw(7, 3, 0), UniformDraw(7, 3, 0));
}

// The mean of n uniform draws has standard deviation 1 / sqrt(12 n), here 0.00091. The limit is six
// standard deviations.
TEST(PhiloxTest, DrawsAreUniform) {
  constexpr int kNumDraws = 100000;
  double sum = 0;
  for (int i = 0; i < kNumDraws; ++i) {
    const double draw = UniformDraw(42, i, 0);
    ASSERT_GE(draw, 0.0);
    ASSERT_LT(draw, 1.0);
    sum += draw;
  }
  EXPECT_NEAR(sum / kNumDraws, 0.5, 6 / std::sqrt(12.0 * kNumDraws));
}

}  // namespace
}  // namespace dray::sampling
