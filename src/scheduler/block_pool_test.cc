#include "scheduler/block_pool.h"

#include <gtest/gtest.h>

#include <set>

namespace dray::scheduler {
namespace {

TEST(BlockPoolTest, GivesEachBlockOnceThenNone) {
  BlockPool pool(5);
  std::set<BlockId> blocks;
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(pool.num_free(), 5 - i);
    const auto block = pool.Allocate();
    ASSERT_TRUE(block.has_value());
    EXPECT_GE(block->value(), 0);
    EXPECT_LT(block->value(), 5);
    blocks.insert(*block);
  }
  EXPECT_EQ(blocks.size(), 5u);
  EXPECT_FALSE(pool.Allocate().has_value());
  EXPECT_TRUE(pool.CheckIntegrity().ok());
}

TEST(BlockPoolTest, ReleasedBlockIsNextOut) {
  BlockPool pool(3);
  const BlockId first = *pool.Allocate();
  const BlockId second = *pool.Allocate();
  pool.Release(first);
  pool.Release(second);
  EXPECT_EQ(pool.num_free(), 3);
  EXPECT_EQ(*pool.Allocate(), second);
  EXPECT_EQ(*pool.Allocate(), first);
}

TEST(BlockPoolTest, SharedBlockIsFreeAfterItsLastHolder) {
  BlockPool pool(2);
  const BlockId block = *pool.Allocate();
  pool.Share(block);
  pool.Share(block);
  EXPECT_EQ(pool.num_holders(block), 3);
  pool.Release(block);
  pool.Release(block);
  EXPECT_EQ(pool.num_free(), 1);
  EXPECT_TRUE(pool.CheckIntegrity().ok());
  pool.Release(block);
  EXPECT_EQ(pool.num_free(), 2);
  EXPECT_EQ(pool.num_holders(block), 0);
  EXPECT_TRUE(pool.CheckIntegrity().ok());
}

TEST(BlockPoolDeathTest, MisuseIsABug) {
  BlockPool pool(2);
  const BlockId block = *pool.Allocate();
  pool.Release(block);
  EXPECT_DEATH(pool.Release(block), "holders > 0");
  EXPECT_DEATH(pool.Share(block), "holders > 0");
  EXPECT_DEATH(pool.Release(BlockId(2)), "index");
  EXPECT_DEATH(pool.Release(BlockId(-1)), "index");
}

}  // namespace
}  // namespace dray::scheduler
