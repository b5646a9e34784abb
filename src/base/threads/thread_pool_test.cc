#include "base/threads/thread_pool.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace dray {
namespace {

TEST(ThreadPoolTest, EveryThreadRunsOncePerRegion) {
  for (int num_threads : {1, 2, 5}) {
    ThreadPool pool(num_threads);
    std::vector<std::atomic<int>> calls(num_threads);
    for (int round = 0; round < 500; ++round) {
      pool.Run([&](int thread_idx) { ++calls[thread_idx]; });
    }
    for (auto& count : calls) EXPECT_EQ(count, 500);
  }
}

TEST(ThreadPoolTest, WakesThreadsThatFellAsleep) {
  ThreadPool pool(3);
  std::atomic<int> calls{0};
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    pool.Run([&](int) { ++calls; });
  }
  EXPECT_EQ(calls, 15);
}

TEST(ThreadPoolTest, BarrierSeparatesPhases) {
  ThreadPool pool(4);
  std::atomic<int> first{0};
  std::atomic<int> wrong{0};
  pool.Run([&](int) {
    for (int phase = 1; phase <= 100; ++phase) {
      ++first;
      pool.Barrier();
      if (first != 4 * phase) ++wrong;
      pool.Barrier();
    }
  });
  EXPECT_EQ(wrong, 0);
}

TEST(ThreadPoolTest, SharesCoverEverythingOnce) {
  ThreadPool pool(3);
  int64_t next = 0;
  for (int i = 0; i < 3; ++i) {
    const auto [begin, end] = pool.Share(10, i);
    EXPECT_EQ(begin, next);
    next = end;
  }
  EXPECT_EQ(next, 10);
}

TEST(ThreadPoolTest, FewerThreadsForSomeRegions) {
  ThreadPool pool(5);
  for (const int num_threads : {2, 5, 1, 3, 5}) {
    pool.UseThreads(num_threads);
    EXPECT_EQ(pool.num_threads(), num_threads);
    std::vector<std::atomic<int>> calls(5);
    for (int round = 0; round < 100; ++round) {
      pool.Run([&](int thread_idx) {
        ++calls[static_cast<size_t>(thread_idx)];
        pool.Barrier();
      });
    }
    for (int i = 0; i < 5; ++i) EXPECT_EQ(calls[static_cast<size_t>(i)], i < num_threads ? 100 : 0);
  }
}

TEST(ThreadPoolTest, TouchesEveryPageOfItsShares) {
  constexpr int64_t kPage = 4096, kPages = 37;
  void* const mapped =
      mmap(nullptr, kPages * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(mapped, MAP_FAILED);
  ThreadPool pool(3);
  pool.TouchShares(static_cast<std::byte*>(mapped), kPages * kPage);
  std::vector<unsigned char> resident(kPages);
  ASSERT_EQ(mincore(mapped, kPages * kPage, resident.data()), 0);
  for (const unsigned char page : resident) EXPECT_EQ(page & 1, 1);
  munmap(mapped, kPages * kPage);
}

TEST(ThreadPoolTest, PoolsComeAndGo) {
  for (int round = 0; round < 20; ++round) {
    ThreadPool one(3);
    ThreadPool other(2);
    std::atomic<int> calls{0};
    one.Run([&](int) { ++calls; });
    other.BeginTurn();
    for (int i = 0; i < 3; ++i) other.Run([&](int) { ++calls; });
    other.EndTurn();
    EXPECT_EQ(calls, 9);
  }
}

}  // namespace
}  // namespace dray
