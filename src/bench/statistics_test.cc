#include "bench/statistics.h"

#include <gtest/gtest.h>

#include <vector>

namespace dray::bench {
namespace {

// The expected values are numpy.percentile's (by default it interpolates linearly).
TEST(StatisticsTest, PercentilesAsNumpyComputesThem) {
  const std::vector<double> values = {15, 20, 35, 40, 50, 7.5, 12};
  EXPECT_DOUBLE_EQ(Percentile(values, 0.5), 20.0);
  EXPECT_DOUBLE_EQ(Percentile(values, 0.9), 44.0);
  EXPECT_DOUBLE_EQ(Percentile(values, 0.99), 49.4);
  EXPECT_DOUBLE_EQ(Percentile(values, 0.0), 7.5);
  EXPECT_DOUBLE_EQ(Percentile(values, 1.0), 50.0);
}

TEST(StatisticsTest, FewValues) {
  EXPECT_EQ(Percentile({}, 0.5), 0.0);
  EXPECT_EQ(Percentile({3.0}, 0.99), 3.0);
  EXPECT_EQ(Median({1.0, 2.0}), 1.5);
  EXPECT_EQ(Median({9.0, 1.0, 4.0}), 4.0);
}

TEST(StatisticsTest, SummaryCountsAndOrders) {
  std::vector<double> values;
  for (int i = 100; i >= 0; --i) values.push_back(i);
  const Summary summary = Summarize(values);
  EXPECT_EQ(summary.count, 101u);
  EXPECT_DOUBLE_EQ(summary.p50, 50.0);
  EXPECT_DOUBLE_EQ(summary.p90, 90.0);
  EXPECT_DOUBLE_EQ(summary.p99, 99.0);
}

}  // namespace
}  // namespace dray::bench
