// Which texts the benchmark of encoders computes.
#include <gtest/gtest.h>

#include <algorithm>

#include "bench/text_run.h"

namespace dray::bench {
namespace {

TEST(MixedLengthsTest, GoFromTheShortestToTheLongestInEqualRatios) {
  std::vector<int64_t> lengths = MixedLengths(4, 512);
  std::sort(lengths.begin(), lengths.end());
  EXPECT_EQ(lengths, (std::vector<int64_t>{8, 32, 128, 512}));
}

TEST(MixedLengthsTest, AreTheSameEachTime) {
  EXPECT_EQ(MixedLengths(32, 512), MixedLengths(32, 512));
}

TEST(MixedLengthsTest, OfOneTextOrOfShortTextsAreNotLongerThanTheLongest) {
  EXPECT_EQ(MixedLengths(1, 512), std::vector<int64_t>{8});
  EXPECT_EQ(MixedLengths(3, 5), (std::vector<int64_t>{5, 5, 5}));
}

}  // namespace
}  // namespace dray::bench
