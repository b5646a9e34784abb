// Messages in order between two ends, and how a link ends.
#include "parallel/link.h"

#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/testing/allocation_counter.h"

namespace dray::parallel {
namespace {

constexpr int64_t kMaxBytes = 1000;

// Message `index`: its size and its bytes follow from the index.
std::vector<std::byte> Message(int index) {
  std::minstd_rand generator(static_cast<uint32_t>(index + 1));
  std::vector<std::byte> message(generator() % (kMaxBytes + 1));
  for (std::byte& byte : message) byte = static_cast<std::byte>(generator());
  return message;
}

Link ThreadLink(const LinkSpec& spec) {
  auto link = MakeThreadLink(spec);
  EXPECT_TRUE(link.ok()) << link.status().ToString();
  return std::move(link).value();
}

// Between ends of this process over a memory file, as two processes have it.
Link SharedLink(const SharedMemoryLink& shared) {
  auto sender = JoinAsSender(shared.descriptor());
  auto receiver = JoinAsReceiver(shared.descriptor());
  EXPECT_TRUE(sender.ok() && receiver.ok());
  return {std::move(sender).value(), std::move(receiver).value()};
}

SharedMemoryLink MakeShared(const LinkSpec& spec) {
  auto shared = SharedMemoryLink::Create(spec);
  EXPECT_TRUE(shared.ok()) << shared.status().ToString();
  return std::move(shared).value();
}

// Sends messages in one thread and receives them in another; either is slow now and then.
void ExpectAllArrive(const Link& link, int count) {
  std::thread sender([&] {
    for (int i = 0; i < count; ++i) {
      if (i % 50 == 7) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      const Status status = link.sender->Send(Message(i));
      ASSERT_TRUE(status.ok()) << status.ToString();
    }
  });
  std::vector<std::byte> into(kMaxBytes);
  uint64_t bytes = 0;
  for (int i = 0; i < count; ++i) {
    if (i % 70 == 9) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    const auto size = link.receiver->Receive(into);
    ASSERT_TRUE(size.ok()) << size.status().ToString();
    const std::vector<std::byte> want = Message(i);
    ASSERT_EQ(*size, static_cast<int64_t>(want.size()));
    EXPECT_TRUE(std::equal(want.begin(), want.end(), into.begin())) << i;
    bytes += want.size();
  }
  sender.join();
  EXPECT_EQ(link.sender->traffic().messages, static_cast<uint64_t>(count));
  EXPECT_EQ(link.receiver->traffic().messages, static_cast<uint64_t>(count));
  EXPECT_EQ(link.sender->traffic().bytes, bytes);
  EXPECT_EQ(link.receiver->traffic().bytes, bytes);
}

TEST(LinkTest, MessagesArriveInOrder) {
  for (const int64_t depth : {1, 2, 3, 8}) {
    for (const int64_t threads : {1, 1000}) {  // waiters spin, or sleep at once
      const LinkSpec spec{.max_bytes = kMaxBytes, .depth = depth, .threads = threads};
      ExpectAllArrive(ThreadLink(spec), 400);
      const SharedMemoryLink shared = MakeShared(spec);
      ExpectAllArrive(SharedLink(shared), 400);
    }
  }
}

TEST(LinkTest, TheSenderGoesOnUntilTheLinkIsFull) {
  const Link link = ThreadLink({.from = 1,
                                .to = 2,
                                .max_bytes = kMaxBytes,
                                .depth = 3,
                                .send_timeout = std::chrono::milliseconds(20)});
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(link.sender->Send(Message(i)).ok());
  EXPECT_EQ(link.sender->Send(Message(3)).ToString(),
            "unavailable: rank 2 did not take a message within 20 ms");
  EXPECT_EQ(link.sender->Send(Message(3)).message(), "rank 2 did not take a message within 20 ms");
  std::vector<std::byte> into(kMaxBytes);
  EXPECT_EQ(link.receiver->Receive(into).status().message(),
            "rank 2 did not take a message within 20 ms");
}

TEST(LinkTest, AReceiverWithALimitNamesTheSender) {
  const Link link = ThreadLink({.from = 4,
                                .to = 5,
                                .max_bytes = kMaxBytes,
                                .receive_timeout = std::chrono::milliseconds(20)});
  std::vector<std::byte> into(kMaxBytes);
  EXPECT_EQ(link.receiver->Receive(into).status().ToString(),
            "unavailable: rank 4 did not send a message within 20 ms");
}

TEST(LinkTest, AbortWakesBothEnds) {
  for (const bool sends : {false, true}) {
    const Link link = ThreadLink({.max_bytes = kMaxBytes, .depth = 1});
    if (sends) {
      EXPECT_TRUE(link.sender->Send(Message(0)).ok());
    }
    std::thread waiter([&] {
      std::vector<std::byte> into(kMaxBytes);
      const Status status =
          sends ? link.sender->Send(Message(1)) : link.receiver->Receive(into).status();
      EXPECT_EQ(status.ToString(), "cancelled: enough");
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    if (sends) {
      link.receiver->Abort({StatusCode::kCancelled, "enough"});
    } else {
      link.sender->Abort({StatusCode::kCancelled, "enough"});
    }
    waiter.join();
  }
}

TEST(LinkTest, AMessageThatDoesNotFitEndsTheLink) {
  const Link link = ThreadLink({.max_bytes = kMaxBytes});
  EXPECT_TRUE(link.sender->Send(std::vector<std::byte>(11)).ok());
  std::vector<std::byte> into(10);
  const std::string reason =
      "rank 0 sent a message of 11 bytes where rank 1 has room for 10: the ranks have gone apart";
  EXPECT_EQ(link.receiver->Receive(into).status().message(), reason);
  EXPECT_EQ(link.sender->Send(into).message(), reason);
}

TEST(LinkTest, MessagesAllocateNothing) {
  const Link link = ThreadLink({.max_bytes = kMaxBytes, .depth = 4});
  std::vector<std::byte> message(kMaxBytes);
  const int64_t before = NumAllocations();
  bool ok = true;
  for (int i = 0; i < 20; ++i) {
    ok = ok && link.sender->Send(message).ok() && link.receiver->Receive(message).ok();
  }
  EXPECT_EQ(NumAllocations() - before, 0);
  EXPECT_TRUE(ok);
}

TEST(LinkTest, MessagesOfASenderThatHasLeftStillArrive) {
  const SharedMemoryLink shared = MakeShared({.from = 2, .to = 3, .max_bytes = kMaxBytes});
  Link link = SharedLink(shared);
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(link.sender->Send(Message(i)).ok());
  link.sender.reset();
  std::vector<std::byte> into(kMaxBytes);
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(link.receiver->Receive(into).ok());
  EXPECT_EQ(link.receiver->Receive(into).status().message(),
            "rank 2 has ended: its process is gone");
}

TEST(LinkTest, EachEndIsJoinedOnce) {
  const SharedMemoryLink shared = MakeShared({.max_bytes = kMaxBytes});
  const Link link = SharedLink(shared);
  const auto second = JoinAsSender(shared.descriptor());
  EXPECT_EQ(second.status().message(),
            "the sender of the link from rank 0 to rank 1 is, or was, another process; make a new "
            "link");
  EXPECT_EQ(JoinAsReceiver(shared.descriptor()).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(JoinAsReceiver(-1).status().code(), StatusCode::kInvalidArgument);
}

TEST(LinkTest, RefusesWhatItCannotBe) {
  const auto refusal = [](const LinkSpec& spec) { return MakeThreadLink(spec).status().message(); };
  EXPECT_EQ(refusal({.max_bytes = 0}),
            "a link whose messages have up to 0 bytes: it must be 1 to 4294967296");
  EXPECT_EQ(refusal({.max_bytes = 1, .depth = 0}),
            "a link with 0 messages under way: it must be 1 to 1024");
  EXPECT_EQ(refusal({.max_bytes = 1, .depth = 1025}),
            "a link with 1025 messages under way: it must be 1 to 1024");
}

}  // namespace
}  // namespace dray::parallel
