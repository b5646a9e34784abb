#include "engine/runner/processes/admission.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "engine/runner/processes/wire/rank_messages.h"

namespace dray::engine {
namespace {

constexpr int64_t kNumRanks = 4;

class AdmissionTest : public ::testing::Test {
 protected:
  std::string secret() const { return std::string(parallel::SecretOf(front_.address())); }
  // Whether a process whose first message this is becomes a rank.
  std::optional<int64_t> Offer(const std::vector<std::byte>& message) {
    const auto process = parallel::ConnectToFront(front_.address());
    EXPECT_TRUE(process.ok() && process->Send(message).ok());
    const auto admitted = AdmitRank(front_, kNumRanks);
    if (admitted) return admitted->rank;
    EXPECT_TRUE(process->AwaitPeerEnd(0)) << "a stranger's connection is not closed";
    return std::nullopt;
  }

  const parallel::FrontListener front_ = parallel::FrontListener::Make().value();
};

TEST_F(AdmissionTest, TakesRanksThatKnowTheSecret) {
  EXPECT_EQ(Offer(EncodeHello({0, secret()})), 0);
  EXPECT_EQ(Offer(EncodeHello({3, secret()})), 3);
}

TEST_F(AdmissionTest, RefusesStrangers) {
  EXPECT_EQ(Offer(EncodeHello({1, ""})), std::nullopt);
  EXPECT_EQ(Offer(EncodeHello({1, secret() + "0"})), std::nullopt);
  EXPECT_EQ(Offer(EncodeHello({1, secret().substr(1)})), std::nullopt);
  EXPECT_EQ(Offer(EncodeHello({kNumRanks, secret()})), std::nullopt);
  EXPECT_EQ(Offer(EncodeKind(RankMessageKind::kReady)), std::nullopt);
  EXPECT_EQ(Offer(std::vector<std::byte>(5000, std::byte{0xff})), std::nullopt);
  // A process that leaves again, and none at all.
  static_cast<void>(parallel::ConnectToFront(front_.address()));
  EXPECT_FALSE(AdmitRank(front_, kNumRanks).has_value());
  EXPECT_FALSE(AdmitRank(front_, kNumRanks).has_value());
  EXPECT_EQ(Offer(EncodeHello({2, secret()})), 2) << "strangers do not keep ranks out";
}

}  // namespace
}  // namespace dray::engine
