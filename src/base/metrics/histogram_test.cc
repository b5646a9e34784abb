#include "base/metrics/histogram.h"

#include <gtest/gtest.h>

#include <array>
#include <thread>

namespace dray {
namespace {

constexpr std::array<double, 3> kBounds = {1, 2.5, 10};

TEST(HistogramTest, ABucketHoldsItsUpperBound) {
  Histogram histogram(kBounds);
  for (const double value : {0.0, 1.0, 1.001, 2.5, 10.0, 11.0, 1e9}) histogram.Observe(value);
  const Histogram::Snapshot snapshot = histogram.Take();
  EXPECT_EQ(snapshot.counts, (std::vector<uint64_t>{2, 2, 1, 2}));
  EXPECT_DOUBLE_EQ(snapshot.sum, 1000000025.501);
}

TEST(HistogramTest, ThreadsLoseNothing) {
  Histogram histogram(kBounds);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 10'000; ++j) histogram.Observe(2);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(histogram.Take().counts, (std::vector<uint64_t>{0, 40'000, 0, 0}));
  EXPECT_DOUBLE_EQ(histogram.Take().sum, 80'000);
}

}  // namespace
}  // namespace dray
