#include "model/weights/balance/channel_factors.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace dray::model {
namespace {

TEST(ChannelFactorsTest, BothSidesGetTheSameSize) {
  std::mt19937 random(1);
  std::lognormal_distribution<double> wide(0, 2);
  std::vector<double> sizes(1000), readers(1000);
  for (double& x : sizes) x = wide(random);
  for (double& x : readers) x = wide(random);
  const auto factors = BalanceFactors(sizes, readers, 0.5);
  // Their ratio is the same for all channels, up to the rounding of a factor to a power of two, which
  // enters twice.
  double least = INFINITY, most = 0, exponents = 0;
  for (size_t i = 0; i < factors.size(); ++i) {
    const double factor = factors[i], ratio = sizes[i] / factor / (readers[i] * factor);
    least = std::min(least, ratio);
    most = std::max(most, ratio);
    EXPECT_EQ(std::log2(factor), std::nearbyint(std::log2(factor)));
    exponents += std::log2(factor);
  }
  EXPECT_LE(most / least, 4.0 * (1 + 1e-6));
  EXPECT_NEAR(exponents / 1000, 0, 0.1);
}

TEST(ChannelFactorsTest, AlphaSaysHowMuchMoves) {
  const std::vector<double> sizes = {1, 16, 1, 1}, ones = {1, 1, 1, 1};
  EXPECT_EQ(BalanceFactors(sizes, ones, 0.0), std::vector<float>({1, 1, 1, 1}));
  EXPECT_EQ(BalanceFactors(sizes, ones, 0.5), std::vector<float>({1, 4, 1, 1}));
  EXPECT_EQ(BalanceFactors(sizes, ones, 1.0), std::vector<float>({0.5, 8, 0.5, 0.5}));
}

TEST(ChannelFactorsTest, ChannelsOfWhichNothingIsKnownStayAsTheyAre) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const std::vector<double> sizes = {0, 4, std::nan(""), 16, kInfinity, 4},
                            readers = {1, 0, 1, 1, 1, 4};
  const auto factors = BalanceFactors(sizes, readers, 0.5);
  for (const size_t i : {0, 1, 2, 4}) EXPECT_EQ(factors[i], 1.0f) << i;
  EXPECT_EQ(factors[3], 4 * factors[5]);
  EXPECT_TRUE(FindUneven(sizes, readers).channels.empty());
  EXPECT_EQ(Inverses(std::vector<float>{0.25f, 1, 8}), std::vector<float>({4, 1, 0.125f}));
}

TEST(ChannelFactorsTest, UnevenChannelsShowInEitherSize) {
  std::vector<double> sizes(100, 2.0), readers(100, 3.0);
  EXPECT_TRUE(FindUneven(sizes, readers).channels.empty());
  sizes[7] *= 15;
  EXPECT_TRUE(FindUneven(sizes, readers).channels.empty());
  sizes[7] *= 2;
  sizes[9] *= 20;
  readers[9] /= 20;
  readers[50] /= 300;
  const UnevenChannels uneven = FindUneven(sizes, readers);
  EXPECT_EQ(uneven.channels, std::vector<int64_t>({7, 9, 50}));
  EXPECT_NEAR(uneven.ratio, 30, 1e-9);
}

}  // namespace
}  // namespace dray::model
