// Ranks as threads: the cases of all communicators, and how a group ends.
#include "parallel/thread_group.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "base/testing/allocation_counter.h"
#include "parallel/memory/memory_communicator.h"
#include "parallel/testing/conformance.h"

namespace dray::parallel {
namespace {

using Ranks = std::vector<std::unique_ptr<Communicator>>;

// Runs body(communicator) in a thread for each rank.
template <typename Body>
void RunRanks(const Ranks& ranks, const Body& body) {
  std::vector<std::thread> threads;
  threads.reserve(ranks.size());
  for (const auto& rank : ranks) threads.emplace_back([&] { body(*rank); });
  for (std::thread& thread : threads) thread.join();
}

Ranks MakeRanks(const ThreadGroupSpec& spec) {
  auto ranks = MakeThreadGroup(spec);
  EXPECT_TRUE(ranks.ok()) << ranks.status().ToString();
  return std::move(ranks).value();
}

void ExpectCasesPass(const Ranks& ranks) {
  for (const ConformanceCase& one : ConformanceCases()) {
    std::vector<std::string> wrong(ranks.size());
    RunRanks(ranks, [&](Communicator& rank) {
      wrong[static_cast<size_t>(rank.rank().index)] = one.run(rank);
    });
    for (size_t rank = 0; rank < ranks.size(); ++rank) {
      EXPECT_EQ(wrong[rank], "") << one.name << ", rank " << rank << " of " << ranks.size();
    }
  }
}

TEST(ThreadGroupTest, AddsAndGathersAtEveryWorld) {
  for (int64_t world = 1; world <= 5; ++world) {
    ExpectCasesPass(MakeRanks({.world = world, .max_count = kConformanceMaxCount}));
  }
}

TEST(ThreadGroupTest, TheSizesOfTheCasesAreAddedInBothWays) {
  EXPECT_FALSE(DividesSum(2, kConformanceMaxCount));  // two ranks have nothing to save
  for (const int64_t world : {3, 4, 5}) {
    EXPECT_FALSE(DividesSum(world, 64));
    EXPECT_TRUE(DividesSum(world, 50'000));
  }
}

TEST(ThreadGroupTest, ThreadsOfARankShareItsWork) {
  // On a small machine both pools have the same processors. They take turns, but no rank waits for
  // another one during its turn.
  ThreadPool first(2);
  ThreadPool second(2);
  ExpectCasesPass(
      MakeRanks({.world = 2, .max_count = kConformanceMaxCount, .pools = {&first, &second}}));
  // One rank with several threads.
  ThreadPool pool(3);
  ExpectCasesPass(MakeRanks({.world = 1, .max_count = kConformanceMaxCount, .pools = {&pool}}));
}

TEST(ThreadGroupTest, ARankHelpsTheOneThatItWaitsFor) {
  if (SpinTime(2).count() == 0) GTEST_SKIP() << "two ranks have one processor: they sleep at once";
  ThreadPool first(1);
  ThreadPool second(1);
  const Ranks ranks = MakeRanks({.world = 2, .max_count = 10, .pools = {&first, &second}});
  std::atomic<bool> was_helped = false;
  const auto work = [&] { was_helped = true; };
  const HelpOffer offer(second.helper_slot(), work);
  const auto add = [&](size_t rank) {
    float x[10] = {};
    EXPECT_TRUE(ranks[rank]->AddParts(x, 10).ok());
  };
  std::thread other([&] { add(0); });
  // Rank 1, this thread, does not come to the sum before rank 0 has helped.
  while (!was_helped) std::this_thread::yield();
  add(1);
  other.join();
}

TEST(ThreadGroupTest, CallsAllocateNothing) {
  const Ranks ranks = MakeRanks({.world = 3, .max_count = 50'000});
  std::atomic<int64_t> allocations = 0;
  std::atomic<int> waiting = 3;
  const auto meet = [&] {
    --waiting;
    while (waiting > 0) std::this_thread::yield();
  };
  RunRanks(ranks, [&](Communicator& rank) {
    std::vector<float> x(50'000);
    std::vector<float> all(3 * 50'000);
    meet();
    const int64_t before = NumAllocations();
    bool ok = true;
    for (const int64_t count : {1, 100, 50'000}) {
      ok = ok && rank.AddParts(x.data(), count).ok() &&
           rank.Gather(x.data(), count, all.data()).ok();
    }
    // A last sum: before it, no rank has left the calls above.
    ok = ok && rank.AddParts(x.data(), 1).ok();
    if (rank.rank().index == 0) allocations = NumAllocations() - before;
    EXPECT_TRUE(ok);
  });
  EXPECT_EQ(allocations, 0);
}

TEST(ThreadGroupTest, AbortWakesAllWhoWait) {
  const Ranks ranks = MakeRanks({.world = 4, .max_count = 100});
  std::atomic<int> failed = 0;
  std::thread aborter([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // most ranks sleep by now
    ranks[2]->Abort({StatusCode::kCancelled, "enough"});
    ranks[1]->Abort({StatusCode::kInternal, "a later reason"});
  });
  RunRanks(ranks, [&](Communicator& rank) {
    if (rank.rank().index == 3) return;  // the others wait for this one
    float x[10] = {};
    Status status = rank.AddParts(x, 10);
    EXPECT_EQ(status.ToString(), "cancelled: enough");
    status = rank.AddParts(x, 10);
    EXPECT_EQ(status.ToString(), "cancelled: enough");
    ++failed;
  });
  aborter.join();
  EXPECT_EQ(failed, 3);
  float x[10] = {};
  EXPECT_EQ(ranks[3]->Gather(x, 10, nullptr).ToString(), "cancelled: enough");
}

TEST(ThreadGroupTest, AbortEndsAGroupOfOneToo) {
  const Ranks ranks = MakeRanks({.world = 1, .max_count = 100});
  float x[10] = {};
  EXPECT_TRUE(ranks[0]->AddParts(x, 10).ok());
  ranks[0]->Abort({StatusCode::kUnavailable, "over"});
  EXPECT_EQ(ranks[0]->AddParts(x, 10).message(), "over");
}

TEST(ThreadGroupTest, ATimeoutNamesTheRankThatDidNotCome) {
  for (const bool gathers : {false, true}) {
    const Ranks ranks =
        MakeRanks({.world = 2, .max_count = 100, .timeout = std::chrono::milliseconds(50)});
    float x[10] = {};
    float all[20] = {};
    const Status status = gathers ? ranks[0]->Gather(x, 10, all) : ranks[0]->AddParts(x, 10);
    EXPECT_EQ(status.code(), StatusCode::kUnavailable);
    EXPECT_EQ(
        status.message(),
        fmt::format("rank 1 of 2 did not come to a {} of 10 numbers within 50 ms: it hangs, or "
                    "takes longer for a step than the group's time limit allows",
                    gathers ? "gather" : "sum"));
    EXPECT_EQ(ranks[1]->AddParts(x, 10).message(), status.message());  // too late
  }
}

TEST(ThreadGroupTest, RanksThatHaveGoneApartNoticeIt) {
  for (const bool gathers : {false, true}) {
    const Ranks ranks = MakeRanks({.world = 2, .max_count = 100});
    std::atomic<int> failed = 0;
    RunRanks(ranks, [&](Communicator& rank) {
      float x[20] = {};
      const bool second = rank.rank().index == 1;
      Status status =
          second && gathers ? rank.Gather(x, 10, nullptr) : rank.AddParts(x, second ? 20 : 10);
      if (status.ok()) status = rank.AddParts(x, 10);
      if (status.message().find("the ranks have gone apart") != std::string::npos) ++failed;
    });
    EXPECT_EQ(failed, 2);
  }
}

TEST(ThreadGroupTest, RefusesWhatItCannotBe) {
  const auto refusal = [](const ThreadGroupSpec& spec) {
    const auto ranks = MakeThreadGroup(spec);
    EXPECT_FALSE(ranks.ok());
    EXPECT_EQ(ranks.status().code(), StatusCode::kInvalidArgument);
    return ranks.status().message();
  };
  EXPECT_EQ(refusal({.world = 0, .max_count = 1}), "a group of 0 ranks: it must have 1 to 256");
  EXPECT_EQ(refusal({.world = 257, .max_count = 1}), "a group of 257 ranks: it must have 1 to 256");
  EXPECT_EQ(refusal({.world = 2, .max_count = 0}),
            "a group whose calls have up to 0 numbers: it must be 1 to 1073741824");
  ThreadPool pool(1);
  EXPECT_EQ(refusal({.world = 2, .max_count = 1, .pools = {&pool}}),
            "1 thread pools for 2 ranks: give one for each rank, or none");
}

}  // namespace
}  // namespace dray::parallel
