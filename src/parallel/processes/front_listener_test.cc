#include "parallel/processes/front_listener.h"

#include <gtest/gtest.h>

namespace dray::parallel {
namespace {

TEST(FrontListenerTest, AProcessThatKnowsTheAddressConnects) {
  const auto front = FrontListener::Make();
  ASSERT_TRUE(front.ok());
  EXPECT_FALSE(front->Accept().has_value());
  const auto rank = ConnectToFront(front->address());
  ASSERT_TRUE(rank.ok()) << rank.status().ToString();
  const auto accepted = front->Accept();
  ASSERT_TRUE(accepted.has_value());
  const std::byte one{1};
  ASSERT_TRUE(rank->Send({&one, 1}).ok());
  EXPECT_EQ(accepted->Receive()->bytes, std::vector<std::byte>{one});
}

TEST(FrontListenerTest, AddressesAreNotRepeated) {
  const auto one = FrontListener::Make();
  const auto other = FrontListener::Make();
  EXPECT_NE(one->address(), other->address());
  EXPECT_NE(SecretOf(one->address()), SecretOf(other->address()));
  EXPECT_EQ(SecretOf(one->address()).size(), 32U);
  EXPECT_EQ(SecretOf("no secret"), "");
}

TEST(FrontListenerTest, WithoutAFrontThereIsNoConnection) {
  EXPECT_EQ(ConnectToFront("dray-no-such-front:0").status().code(), StatusCode::kNotFound);
}

}  // namespace
}  // namespace dray::parallel
