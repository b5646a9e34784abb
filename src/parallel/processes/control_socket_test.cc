#include "parallel/processes/control_socket.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <optional>
#include <string_view>

namespace dray::parallel {
namespace {

std::span<const std::byte> BytesOf(std::string_view text) { return std::as_bytes(std::span(text)); }

TEST(ControlSocketTest, MessagesArriveWholeWithTheirDescriptors) {
  auto ends = ControlSocket::MakePair();
  ASSERT_TRUE(ends.ok());
  std::array<int, 2> pipe_ends = {};
  ASSERT_EQ(::pipe(pipe_ends.data()), 0);
  const Descriptor reader(pipe_ends[0]), writer(pipe_ends[1]);
  ASSERT_TRUE(ends->first.Send(BytesOf("one"), std::array{writer.value()}).ok());
  ASSERT_TRUE(ends->first.TrySend(BytesOf("three")));
  const auto first = ends->second.Receive();
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(first->bytes.size(), 3U);
  ASSERT_EQ(first->descriptors.size(), 1U);
  ASSERT_EQ(::write(first->descriptors[0].value(), "x", 1), 1);
  char letter = 0;
  ASSERT_EQ(::read(reader.value(), &letter, 1), 1);
  EXPECT_EQ(letter, 'x');
  const auto second = ends->second.Receive();
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(second->bytes.size(), 5U);
  EXPECT_TRUE(second->descriptors.empty());
}

TEST(ControlSocketTest, TheEndOfThePeerIsNoticed) {
  auto ends = ControlSocket::MakePair();
  ASSERT_TRUE(ends.ok());
  EXPECT_FALSE(ends->first.AwaitPeerEnd(0));
  { const ControlSocket ended(std::move(ends->second)); }
  EXPECT_TRUE(ends->first.AwaitPeerEnd(60'000));
  EXPECT_EQ(ends->first.Receive().status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(ends->first.Send(BytesOf("x")).code(), StatusCode::kUnavailable);
  EXPECT_FALSE(ends->first.TrySend(BytesOf("x")));
}

TEST(ControlSocketTest, MessagesThatAreTooLargeAreRefused) {
  auto ends = ControlSocket::MakePair();
  ASSERT_TRUE(ends.ok());
  const std::vector<std::byte> large(ControlSocket::kMaxBytes + 1);
  EXPECT_EQ(ends->first.Send(large).code(), StatusCode::kInvalidArgument);
  // A peer of another kind may send one.
  ASSERT_GT(::send(ends->first.descriptor(), large.data(), large.size(), 0), 0);
  EXPECT_EQ(ends->second.Receive().status().code(), StatusCode::kCorrupt);
}

}  // namespace
}  // namespace dray::parallel
