#include "base/threads/worker_set.h"

#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <set>
#include <thread>
#include <vector>

#include "base/machine/cpu_info.h"
#include "base/testing/scarce_threads.h"
#include "base/threads/thread_pool.h"

namespace dray {
namespace {

using Lists = std::vector<std::vector<int>>;

TEST(WorkerSetTest, PlacesAreSpreadAndHomesDoNotOverlap) {
  EXPECT_EQ(PlacesOfPool(8, 8, 0), (std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7}));
  EXPECT_EQ(PlacesOfPool(8, 8, 1), PlacesOfPool(8, 8, 0)) << "all pools of all processors share";
  EXPECT_EQ(PlacesOfPool(8, 4, 0), (std::vector<int>{0, 2, 4, 6}));
  EXPECT_EQ(PlacesOfPool(8, 4, 1), (std::vector<int>{1, 3, 5, 7}));
  EXPECT_EQ(PlacesOfPool(8, 4, 2), PlacesOfPool(8, 4, 0));
  EXPECT_EQ(PlacesOfPool(2, 5, 3), (std::vector<int>{0, 1, 2, 3, 4})) << "more than processors";
  for (int places = 1; places <= 17; ++places) {
    for (int threads = 1; threads <= places; ++threads) {
      std::set<int> used;
      for (int home = 0; home < places / threads; ++home) {
        for (const int place : PlacesOfPool(places, threads, home)) {
          EXPECT_TRUE(used.insert(place).second) << places << " " << threads;
          EXPECT_LT(place, places);
        }
      }
    }
  }
}

TEST(WorkerSetTest, ThreadsAreBoundToProcessorsOrNodes) {
  const Lists two_nodes = {{0, 1, 4, 5}, {2, 3, 6, 7}};
  EXPECT_EQ(CpusOfPlaces(two_nodes, 8), (Lists{{0}, {1}, {4}, {5}, {2}, {3}, {6}, {7}}));
  // Half of the processors, two places of each node: anywhere on their node.
  const Lists half = CpusOfPlaces(two_nodes, 4);
  int on_first = 0;
  for (const int place : PlacesOfPool(8, 4, 0)) {
    on_first += half[static_cast<size_t>(place)] == two_nodes[0] ? 1 : 0;
  }
  EXPECT_EQ(on_first, 2);
  EXPECT_EQ(half[7], two_nodes[1]);
  // One node: the kernel may place what does not fill it, and what is more than fits.
  EXPECT_EQ(CpusOfPlaces({{3, 5}}, 2), (Lists{{3}, {5}}));
  EXPECT_EQ(CpusOfPlaces({{3, 5}}, 1), (Lists{{}, {}}));
  EXPECT_EQ(CpusOfPlaces({{3, 5}}, 3), (Lists{{}, {}, {}}));
}

TEST(WorkerSetTest, PoolsOfOneProcessShareThreads) {
  const int all = UsableCpuCount();
  const ThreadPool first(all), second(all), third(1);
  EXPECT_LE(WorkerSet::OfProcess()->num_threads(), std::max(0, all - 1));
}

// Two threads that drive a pool each: never more members at work than processors.
TEST(WorkerSetTest, BusyPoolsTakeTurns) {
  const int all = UsableCpuCount();
  std::atomic<int> running = 0, most = 0;
  std::atomic<int64_t> regions = 0;
  const auto drive = [&](bool whole_turns) {
    ThreadPool pool(all);
    for (int round = 0; round < 300; ++round) {
      if (whole_turns) pool.BeginTurn();
      for (int i = 0; i < (whole_turns ? 5 : 1); ++i) {
        pool.Run([&](int) {
          const int now = ++running;
          for (int seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {
          }
          std::this_thread::yield();
          --running;
        });
        ++regions;
      }
      if (whole_turns) pool.EndTurn();
    }
  };
  std::thread other([&] { drive(true); });
  drive(false);
  other.join();
  EXPECT_EQ(regions, 1800);
  EXPECT_LE(most, all);
}

// Pools that share no place do not wait for each other.
TEST(WorkerSetTest, PoolsOnDifferentProcessorsRunTogether) {
  const auto workers = std::make_shared<WorkerSet>();
  const int cpus = static_cast<int>(AllowedCpus().size());
  if (cpus < 2) GTEST_SKIP() << "needs two processors";
  const auto first = workers->Join(cpus / 2, Pinning::kFree).value();
  const auto second = workers->Join(cpus / 2, Pinning::kFree).value();
  TurnSeries of_first(TurnSeries::Parts::kSteps), of_second(TurnSeries::Parts::kSteps);
  workers->turns().Take(first.places, of_first);
  workers->turns().Take(second.places, of_second);  // would wait for ever
  workers->turns().Return(second.places, of_second);
  workers->turns().Return(first.places, of_first);
}

// Callers of a group wait for each other within a turn. Two groups on the same processors would wait
// for ever if their pools took turns one by one.
TEST(WorkerSetTest, GroupsTakeTurnsAsAWhole) {
  constexpr int kPools = 3, kThreads = 2, kRounds = 50;
  std::atomic<int> num_regions = 0;
  const auto drive_group = [&] {
    const auto pools =
        ThreadPool::MakeGroup(
            {.num_pools = kPools, .num_threads = kThreads, .pinning = Pinning::kFree})
            .value();
    ASSERT_EQ(pools.size(), static_cast<size_t>(kPools));
    std::barrier together(kPools);
    const auto drive = [&](ThreadPool& pool) {
      const bool is_first = &pool == pools[0].get();
      for (int round = 0; round < kRounds; ++round) {
        if (is_first) pool.BeginTurn();
        together.arrive_and_wait();
        if (!is_first) pool.BeginTurn();
        pool.Run([&](int) { ++num_regions; });
        together.arrive_and_wait();
        pool.Run([&](int) { ++num_regions; });
        if (!is_first) pool.EndTurn();
        together.arrive_and_wait();
        if (is_first) pool.EndTurn();
      }
    };
    std::vector<std::thread> callers;
    for (const auto& pool : pools) callers.emplace_back([&] { drive(*pool); });
    for (std::thread& caller : callers) caller.join();
  };
  std::thread other(drive_group);
  drive_group();
  other.join();
  EXPECT_EQ(num_regions, 2 * kRounds * kPools * 2 * kThreads);
}

TEST(WorkerSetTest, PoolsOfAGroupHavePlacesOfTheirOwn) {
  const auto workers = std::make_shared<WorkerSet>();
  const int cpus = static_cast<int>(AllowedCpus().size());
  for (const int num_pools : {2, cpus, cpus + 3}) {
    std::set<WorkPlace*> used;
    const auto homes =
        workers->JoinGroup({.num_pools = num_pools, .num_threads = 2, .pinning = Pinning::kFree});
    ASSERT_TRUE(homes.ok());
    for (const auto& home : *homes) {
      EXPECT_EQ(home.places.size(), 2U);
      for (WorkPlace* place : home.places) EXPECT_TRUE(used.insert(place).second);
    }
  }
}

// Pools without turns never wait for others, and leave their threads to later ones.
TEST(WorkerSetTest, GroupsWithoutTurnsHaveOwnPlaces) {
  const int all = UsableCpuCount();
  ThreadPool shared(all);
  shared.BeginTurn();
  for (int round = 0; round < 3; ++round) {
    const auto pools = ThreadPool::MakeGroup({.num_pools = 2,
                                              .num_threads = all + 1,
                                              .pinning = Pinning::kFree,
                                              .turns = GroupTurns::kNone})
                           .value();
    std::atomic<int> num_calls = 0;
    pools[1]->BeginTurn();
    pools[0]->Run([&](int) { ++num_calls; });
    pools[0]->BeginTurn();
    pools[1]->Run([&](int) { ++num_calls; });
    pools[1]->EndTurn();
    pools[0]->EndTurn();
    EXPECT_EQ(num_calls, 2 * (all + 1));
    // Those of the shared pool, and at most one for each place of the group.
    EXPECT_LE(WorkerSet::OfProcess()->num_threads(), all - 1 + 2 * (all + 1));
  }
  shared.EndTurn();
}

// A set that gets no threads is as before: its later pools have all places.
TEST(WorkerSetTest, ASystemWithoutThreadsIsAnError) {
  for (const GroupTurns turns : {GroupTurns::kTogether, GroupTurns::kNone}) {
    const auto workers = std::make_shared<WorkerSet>();
    const WorkerSet::GroupSpec spec = {
        .num_pools = 2, .num_threads = 3, .pinning = Pinning::kFree, .turns = turns};
    {
      const ScarceThreads scarce(2);  // of the four that the group needs
      const auto homes = workers->JoinGroup(spec);
      EXPECT_EQ(homes.status().code(), StatusCode::kResourceExhausted);
      EXPECT_NE(homes.status().message().find("pids.max"), std::string::npos)
          << homes.status().message();
    }
    EXPECT_TRUE(workers->JoinGroup(spec).ok());
    EXPECT_GE(workers->num_threads(), 4);
    EXPECT_LE(workers->num_threads(), 6) << "at most one for each place";
  }
}

}  // namespace
}  // namespace dray
