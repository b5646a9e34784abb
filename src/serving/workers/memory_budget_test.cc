#include "serving/workers/memory_budget.h"

#include <gtest/gtest.h>

namespace dray::serving {
namespace {

TEST(MemoryBudgetTest, LeasesShareWhatWasFreeAtFirst) {
  MemoryBudget budget([] { return int64_t{1000}; });
  auto first = budget.Take(600, 100, "a");
  ASSERT_TRUE(first.ok());
  // The system still calls all of it free, since nothing has been touched.
  EXPECT_EQ(budget.available_bytes(), 400);
  const auto second = budget.Take(301, 100, "model \"b\"");
  EXPECT_EQ(second.status().code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(second.status().message(),
            "model \"b\" needs 301 B of memory, but 400 B are available of which 100 B stay "
            "reserved; unregister a model, or lower kv_cache_bytes, required_memory_mb or "
            "reserved_memory_mb");
  EXPECT_TRUE(budget.Take(300, 100, "b").ok());
  first->Resize(900);
  EXPECT_EQ(budget.available_bytes(), 100);
  { const MemoryBudget::Lease ended = std::move(*first); }
  EXPECT_EQ(budget.available_bytes(), 1000);
}

TEST(MemoryBudgetTest, OtherProgramsCountToo) {
  int64_t free = 1000;
  MemoryBudget budget([&free] { return free; });
  free = 200;
  EXPECT_EQ(budget.available_bytes(), 200);
  EXPECT_FALSE(budget.Take(201, 0, "a").ok());
  // More than at first is not taken: it may be gone when the caches fill.
  free = 5000;
  EXPECT_EQ(budget.available_bytes(), 1000);
}

TEST(MemoryBudgetTest, ALeaseIsDivided) {
  MemoryBudget budget([] { return int64_t{1000}; });
  auto whole = budget.Take(600, 0, "a");
  ASSERT_TRUE(whole.ok());
  {
    const MemoryBudget::Lease part = whole->Split(150);
    EXPECT_EQ(part.bytes(), 150);
    EXPECT_EQ(whole->bytes(), 450);
    EXPECT_EQ(budget.available_bytes(), 400);
  }
  EXPECT_EQ(budget.available_bytes(), 550);
}

TEST(MemoryBudgetTest, ALeaseMayOutliveTheBudget) {
  MemoryBudget::Lease lease;
  {
    MemoryBudget budget([] { return int64_t{1000}; });
    auto taken = budget.Take(10, 0, "a");
    lease = std::move(*taken);
  }
  EXPECT_EQ(lease.bytes(), 10);
}

}  // namespace
}  // namespace dray::serving
