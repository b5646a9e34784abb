// Offers that another thread takes, or that nobody takes.
#include "base/threads/helper_slot.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace dray {
namespace {

TEST(HelperSlotTest, WithoutAnOfferThereIsNothingToHelpWith) {
  HelperSlot slot;
  EXPECT_FALSE(slot.Help());
  int calls = 0;
  const auto work = [&] { ++calls; };
  { const HelpOffer offer(slot, work); }
  EXPECT_FALSE(slot.Help());
  EXPECT_EQ(calls, 0);
}

TEST(HelperSlotTest, AnOfferIsTakenOnce) {
  HelperSlot slot;
  int calls = 0;
  const auto work = [&] { ++calls; };
  const HelpOffer offer(slot, work);
  EXPECT_TRUE(slot.Help());
  EXPECT_FALSE(slot.Help());
  EXPECT_EQ(calls, 1);
}

TEST(HelperSlotTest, OneThreadHelpsAtATime) {
  HelperSlot slot;
  const auto work = [&] { EXPECT_FALSE(slot.Help()); };
  const HelpOffer offer(slot, work);
  EXPECT_TRUE(slot.Help());
}

TEST(HelperSlotTest, TheOwnerWaitsForItsHelper) {
  HelperSlot slot;
  std::atomic<bool> has_come = false, may_end = false;
  int result = 0;
  const auto work = [&] {
    has_come = true;
    while (!may_end) std::this_thread::yield();
    result = 1;
  };
  std::thread helper;
  {
    const HelpOffer offer(slot, work);
    helper = std::thread([&] { EXPECT_TRUE(slot.Help()); });
    while (!has_come) std::this_thread::yield();
    may_end = true;
  }
  EXPECT_EQ(result, 1);
  helper.join();
}

// Every item is done once, by the owner or by the helper, and the owner sees all of them done.
TEST(HelperSlotTest, TheOwnerAndItsHelperDivideTheWork) {
  constexpr int kItems = 100, kRounds = 2000;
  HelperSlot slot;
  std::atomic<bool> stop = false;
  std::thread helper([&] {
    while (!stop) {
      if (!slot.Help()) std::this_thread::yield();
    }
  });
  for (int round = 0; round < kRounds; ++round) {
    std::atomic<int> next = 0;
    int done[kItems] = {};
    const auto work = [&] {
      for (int i; (i = next.fetch_add(1, std::memory_order_relaxed)) < kItems;) ++done[i];
    };
    {
      const HelpOffer offer(slot, work);
      work();
    }
    for (const int count : done) ASSERT_EQ(count, 1) << round;
  }
  stop = true;
  helper.join();
}

}  // namespace
}  // namespace dray
