// Groups of real processes that share memory: their results, and what they report when one of them
// is killed or stopped.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "parallel/link.h"
#include "parallel/shared_memory_group.h"
#include "parallel/testing/conformance.h"
#include "testing/process.h"

namespace dray::parallel {
namespace {

using testing::Process;

constexpr int kLongMs = 240'000;  // of ranks that another one does not keep waiting

// Starts a process that is an end of the link and passes on `count` messages.
std::unique_ptr<Process> StartEnd(const SharedMemoryLink& link, const std::string& command,
                                  int count) {
  const int inherited = ::dup(link.descriptor());  // not closed by exec
  auto process = std::make_unique<Process>(std::vector<std::string>{
      DRAY_RANK_PROGRAM, command, std::to_string(inherited), std::to_string(count)});
  ::close(inherited);
  return process;
}

SharedMemoryLink MakeLink() {
  auto link = SharedMemoryLink::Create({.from = 6, .to = 7, .max_bytes = 5000, .depth = 3});
  EXPECT_TRUE(link.ok()) << link.status().ToString();
  return std::move(link).value();
}

class RankProcesses {
 public:
  RankProcesses(int64_t world, int64_t max_count, int timeout_ms, const std::string& command) {
    auto group = SharedMemoryGroup::Create({.world = world, .max_count = max_count});
    EXPECT_TRUE(group.ok()) << group.status().ToString();
    const int inherited = ::dup(group->descriptor());  // not closed by exec
    for (int64_t rank = 0; rank < world; ++rank) {
      processes_.push_back(std::make_unique<Process>(
          std::vector<std::string>{DRAY_RANK_PROGRAM, command, std::to_string(inherited),
                                   std::to_string(rank), std::to_string(timeout_ms)}));
    }
    ::close(inherited);
    // The ranks keep the memory.
  }

  Process& operator[](size_t rank) { return *processes_[rank]; }
  size_t size() const { return processes_.size(); }

 private:
  std::vector<std::unique_ptr<Process>> processes_;
};

TEST(RankProcessesTest, PassTheCasesOfAllCommunicators) {
  for (int64_t world = 1; world <= 4; ++world) {
    RankProcesses ranks(world, kConformanceMaxCount, kLongMs, "cases");
    for (size_t rank = 0; rank < ranks.size(); ++rank) {
      EXPECT_EQ(ranks[rank].Wait(kLongMs), 0) << ranks[rank].output();
    }
  }
}

// The others notice by themselves, long before the time limit, and name the rank.
TEST(RankProcessesTest, AKilledRankIsNoticedAndNamed) {
  for (const size_t lost : {0, 1, 2}) {
    RankProcesses ranks(3, 64, kLongMs, "sums");
    for (size_t rank = 0; rank < 3; ++rank)
      ASSERT_TRUE(ranks[rank].ReadUntil("adding").has_value());
    ranks[lost].Signal(SIGKILL);
    EXPECT_EQ(ranks[lost].Wait(), -SIGKILL);
    for (size_t rank = 0; rank < 3; ++rank) {
      if (rank == lost) continue;
      const std::string reason = fmt::format("rank {} of 3 has ended: its process is gone", lost);
      EXPECT_TRUE(ranks[rank].ReadUntil(reason).has_value()) << ranks[rank].output();
      EXPECT_EQ(ranks[rank].Wait(), 3);
    }
  }
}

TEST(RankProcessesTest, AStoppedRankIsNamedAfterTheTimeLimit) {
  RankProcesses ranks(2, 64, 1000, "sums");
  ASSERT_TRUE(ranks[0].ReadUntil("adding").has_value());
  ranks[1].Signal(SIGSTOP);
  const std::string reason = "rank 1 of 2 did not come to a sum of 64 numbers within 1000 ms";
  EXPECT_TRUE(ranks[0].ReadUntil(reason).has_value()) << ranks[0].output();
  EXPECT_EQ(ranks[0].Wait(), 3);
  // A rank that goes on too late finds the reason.
  ranks[1].Signal(SIGCONT);
  EXPECT_TRUE(ranks[1].ReadUntil(reason).has_value()) << ranks[1].output();
  EXPECT_EQ(ranks[1].Wait(), 3);
}

TEST(RankProcessesTest, MessagesPassBetweenProcesses) {
  const SharedMemoryLink link = MakeLink();
  const auto sender = StartEnd(link, "send", 3000);
  const auto receiver = StartEnd(link, "receive", 3000);
  EXPECT_EQ(sender->Wait(kLongMs), 0) << sender->output();
  EXPECT_EQ(receiver->Wait(kLongMs), 0) << receiver->output();
}

TEST(RankProcessesTest, AKilledEndOfALinkIsNoticedAndNamed) {
  for (const bool kills_sender : {false, true}) {
    const SharedMemoryLink link = MakeLink();
    const auto sender = StartEnd(link, "send", 1'000'000'000);
    const auto receiver = StartEnd(link, "receive", 1'000'000'000);
    ASSERT_TRUE(receiver->ReadUntil("receiving").has_value());
    Process& lost = kills_sender ? *sender : *receiver;
    Process& other = kills_sender ? *receiver : *sender;
    lost.Signal(SIGKILL);
    EXPECT_EQ(lost.Wait(), -SIGKILL);
    const std::string reason =
        fmt::format("rank {} has ended: its process is gone", kills_sender ? 6 : 7);
    EXPECT_TRUE(other.ReadUntil(reason).has_value()) << other.output();
    EXPECT_EQ(other.Wait(), 3);
  }
}

}  // namespace
}  // namespace dray::parallel
