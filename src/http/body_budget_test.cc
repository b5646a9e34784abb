#include "http/body_budget.h"

#include <gtest/gtest.h>

#include <thread>
#include <utility>
#include <vector>

namespace dray::http {
namespace {

TEST(BodyBudgetTest, LeasesShareTheBudgetAndGiveItBack) {
  const auto budget = std::make_shared<BodyBudget>(100);
  BodyLease first(budget);
  EXPECT_TRUE(first.Resize(60));
  {
    BodyLease second(budget);
    EXPECT_FALSE(second.Resize(41));
    EXPECT_TRUE(second.Resize(40));
    EXPECT_EQ(budget->used_bytes(), 100U);
    EXPECT_FALSE(first.Resize(61));
    EXPECT_TRUE(first.Resize(60));
    EXPECT_TRUE(first.Resize(10));
    EXPECT_EQ(budget->used_bytes(), 50U);
  }
  EXPECT_EQ(budget->used_bytes(), 10U);
  EXPECT_TRUE(first.Resize(0));
  EXPECT_EQ(budget->used_bytes(), 0U);
}

TEST(BodyBudgetTest, AMovedLeaseIsChargedOnce) {
  const auto budget = std::make_shared<BodyBudget>(100);
  BodyLease first(budget);
  EXPECT_TRUE(first.Resize(60));
  BodyLease second = std::move(first);
  EXPECT_EQ(budget->used_bytes(), 60U);
  {
    BodyLease third(budget);
    EXPECT_TRUE(third.Resize(30));
    second = std::move(third);
  }
  // What `second` had went to `third`, which is gone.
  EXPECT_EQ(budget->used_bytes(), 30U);
  second = BodyLease();
  EXPECT_EQ(budget->used_bytes(), 0U);
}

TEST(BodyBudgetTest, LargeBodiesLeaveRoomForSmallOnes) {
  const auto budget = std::make_shared<BodyBudget>(8 * kMaxSmallBodyBytes, kMaxSmallBodyBytes);
  BodyLease large(budget);
  EXPECT_FALSE(large.Resize(8 * kMaxSmallBodyBytes));
  EXPECT_TRUE(large.Resize(7 * kMaxSmallBodyBytes));
  BodyLease other(budget);
  EXPECT_FALSE(other.Resize(kMaxSmallBodyBytes + 1));
  EXPECT_TRUE(other.Resize(kMaxSmallBodyBytes));
  BodyLease third(budget);
  EXPECT_FALSE(third.Resize(1));
  // What does not grow is always granted.
  EXPECT_TRUE(large.Resize(7 * kMaxSmallBodyBytes));
  EXPECT_TRUE(large.Resize(6 * kMaxSmallBodyBytes));
  EXPECT_EQ(budget->used_bytes(), 7 * kMaxSmallBodyBytes);
}

TEST(BodyBudgetTest, WithoutABudgetAnySizeIsGranted) {
  BodyLease lease;
  EXPECT_TRUE(lease.Resize(UINT64_MAX));
}

TEST(BodyBudgetTest, ThreadsTogetherStayWithinIt) {
  const auto budget = std::make_shared<BodyBudget>(1000);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 10'000; ++round) {
        BodyLease lease(budget);
        if (lease.Resize(400)) lease.Resize(300);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(budget->used_bytes(), 0U);
}

}  // namespace
}  // namespace dray::http
