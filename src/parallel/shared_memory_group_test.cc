// What a rank's process refuses to join. tests/parallel has groups of real processes.
#include "parallel/shared_memory_group.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "parallel/testing/conformance.h"

namespace dray::parallel {
namespace {

SharedMemoryGroup Group(int64_t world, int64_t max_count = 100) {
  auto group = SharedMemoryGroup::Create({.world = world, .max_count = max_count});
  EXPECT_TRUE(group.ok()) << group.status().ToString();
  return std::move(group).value();
}

Status JoinStatus(int descriptor, int64_t rank) {
  return JoinSharedMemoryGroup({.descriptor = descriptor, .rank = rank}).status();
}

std::unique_ptr<Communicator> Join(const SharedMemoryGroup& group, int64_t rank) {
  auto joined = JoinSharedMemoryGroup({.descriptor = group.descriptor(), .rank = rank});
  EXPECT_TRUE(joined.ok()) << joined.status().ToString();
  return std::move(joined).value();
}

// A memory file that nobody can resize, of `size` bytes that begin with `content`.
class SealedFile {
 public:
  SealedFile(const std::vector<std::byte>& content, int64_t size)
      : descriptor_(::memfd_create("test", MFD_ALLOW_SEALING)) {
    EXPECT_EQ(::ftruncate(descriptor_, size), 0);
    EXPECT_EQ(::pwrite(descriptor_, content.data(), content.size(), 0),
              static_cast<ssize_t>(content.size()));
    EXPECT_EQ(::fcntl(descriptor_, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
  }
  ~SealedFile() { ::close(descriptor_); }
  int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
};

std::vector<std::byte> FirstPage(const SharedMemoryGroup& group) {
  std::vector<std::byte> page(4096);
  EXPECT_EQ(::pread(group.descriptor(), page.data(), page.size(), 0), 4096);
  return page;
}

TEST(SharedMemoryGroupTest, RanksOfOneProcessPassTheCases) {
  const SharedMemoryGroup group = Group(3, kConformanceMaxCount);
  std::vector<std::unique_ptr<Communicator>> ranks;
  for (int64_t rank = 0; rank < 3; ++rank) ranks.push_back(Join(group, rank));
  std::vector<std::thread> threads;
  threads.reserve(3);
  for (auto& rank : ranks) {
    threads.emplace_back([&rank] {
      for (const ConformanceCase& one : ConformanceCases())
        EXPECT_EQ(one.run(*rank), "") << one.name;
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(SharedMemoryGroupTest, EachRankIsJoinedOnce) {
  const SharedMemoryGroup group = Group(2);
  EXPECT_FALSE(group.IsPresent(1));
  auto rank = Join(group, 1);
  EXPECT_TRUE(group.IsPresent(1));
  EXPECT_EQ(JoinStatus(group.descriptor(), 1).message(),
            "rank 1 of 2 is another process already; start each rank once");
  rank.reset();
  EXPECT_FALSE(group.IsPresent(1));
  EXPECT_EQ(JoinStatus(group.descriptor(), 1).message(),
            "rank 1 of 2 has ended before; start the whole group again");
  EXPECT_EQ(JoinStatus(group.descriptor(), 2).message(), "rank 2: the group has ranks 0 to 1");
  EXPECT_EQ(JoinStatus(group.descriptor(), -1).message(), "rank -1: the group has ranks 0 to 1");
}

TEST(SharedMemoryGroupTest, ARankThatHasLeftIsNamed) {
  const SharedMemoryGroup group = Group(2);
  const auto first = Join(group, 0);
  Join(group, 1).reset();
  float x[10] = {};
  EXPECT_EQ(first->AddParts(x, 10).ToString(),
            "unavailable: rank 1 of 2 has ended: its process is gone");
  EXPECT_EQ(first->AddParts(x, 10).message(), "rank 1 of 2 has ended: its process is gone");
}

TEST(SharedMemoryGroupTest, WhoStartedTheGroupCanEndIt) {
  const SharedMemoryGroup group = Group(2);
  const auto first = Join(group, 0);
  std::thread waiter([&] {
    float x[10] = {};
    EXPECT_EQ(first->AddParts(x, 10).ToString(), "cancelled: restart");
  });
  group.Abort({StatusCode::kCancelled, "restart"});
  waiter.join();
  const auto second = Join(group, 1);
  float x[10] = {};
  EXPECT_EQ(second->AddParts(x, 10).message(), "restart");
}

TEST(SharedMemoryGroupTest, RefusesDescriptorsThatAreNoMemoryFile) {
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  const int resizable = ::memfd_create("test", MFD_ALLOW_SEALING);
  for (const int descriptor : {-1, 1 << 20, pipe[0], resizable}) {
    EXPECT_EQ(JoinStatus(descriptor, 0).message(),
              "descriptor " + std::to_string(descriptor) +
                  " is no memory file of a group of ranks; it must be inherited from the process "
                  "that starts the group");
  }
  for (const int descriptor : {pipe[0], pipe[1], resizable}) ::close(descriptor);
}

TEST(SharedMemoryGroupTest, RefusesMemoryOfAnotherKindOrSize) {
  const int64_t max_count = 1024;  // just a page, so that any other shape has another size
  const std::vector<std::byte> page = FirstPage(Group(2, max_count));
  const int64_t right = GroupMemory::SizeBytes({2, max_count});
  EXPECT_TRUE(JoinStatus(SealedFile(page, right).descriptor(), 0).ok());
  for (const int64_t size : {int64_t{4096}, right - 1, right + 1, right + 4096}) {
    EXPECT_EQ(JoinStatus(SealedFile(page, size).descriptor(), 0).code(), StatusCode::kCorrupt);
  }
  for (const int64_t size : {int64_t{1}, int64_t{4095}}) {
    EXPECT_EQ(JoinStatus(SealedFile({}, size).descriptor(), 0).code(), StatusCode::kCorrupt);
  }
  EXPECT_FALSE(JoinStatus(SealedFile({}, 0).descriptor(), 0).ok());
  // Each byte of the magic number and of the shape in turn.
  for (size_t byte = 0; byte < 24; ++byte) {
    for (const int bits : {0x01, 0x80, 0xff}) {
      std::vector<std::byte> changed = page;
      changed[byte] ^= static_cast<std::byte>(bits);
      const Status status = JoinStatus(SealedFile(changed, right).descriptor(), 0);
      EXPECT_EQ(status.code(), StatusCode::kCorrupt) << byte;
    }
  }
}

TEST(SharedMemoryGroupTest, APeerThatScribblesDoesNoHarm) {
  const SharedMemoryGroup group = Group(2);
  const auto first = Join(group, 0);
  const int64_t size = GroupMemory::SizeBytes({2, 100});
  auto region = Region::MapShared(group.descriptor(), size);
  ASSERT_TRUE(region.ok());
  std::memset(region->data(), 0xff, static_cast<size_t>(size));
  float x[10] = {};
  EXPECT_FALSE(first->AddParts(x, 10).ok());
  first->Abort({StatusCode::kCancelled, "over"});
  EXPECT_FALSE(first->AddParts(x, 10).ok());
}

}  // namespace
}  // namespace dray::parallel
