// The attacks in a small form, a few seconds in all. Only what holds on a busy machine too is asserted here:
// statuses, memory, and times far above the usual ones, which a fault still exceeds. attack_tool attacks in full
// and judges the times.
#include <gtest/gtest.h>

#include <charconv>
#include <chrono>
#include <csignal>
#include <string>
#include <thread>
#include <vector>

#include "attack/attacks.h"
#include "http/testing/test_client.h"
#include "testing/process.h"

namespace dray::attack {
namespace {

// What a body of kBodyBytes may cost at most. The usual is 0.04 s; reading members in quadratic time took 20 s.
constexpr double kMaxCpuSeconds = 5;
constexpr size_t kBodyBytes = 2'000'000;
// The longest that the server may take to end, 3 s of which drain: a fault kept it for 40 s and more.
constexpr int kMaxEndMs = 30'000;

bool AnsweredOrRefused(const Cost& cost) { return cost.status == 200 || cost.was_refused(); }

// A served demo model with few connections.
class AttackTest : public ::testing::Test {
 protected:
  AttackTest()
      : process_({DRAY_PROGRAM, "serve", "demo", "--port", "0", "--max-connections", "32",
                  "--drain-timeout", "3"}),
        target_{Port(), ServerMeter(process_.pid())} {}

  uint16_t Port() {
    const auto line = process_.ReadUntil("serving demo on ");
    if (!line) return 0;
    uint16_t port = 0;
    std::from_chars(line->data() + line->rfind(':') + 1, line->data() + line->size(), port);
    return port;
  }
  void SetUp() override { ASSERT_NE(target_.port, 0) << process_.output(); }

  testing::Process process_;
  Target target_;
};

TEST_F(AttackTest, NoBodyCostsMoreThanItsSize) {
  std::vector<Cost> costs;
  for (const Body& body : AllBodies()) {
    costs.push_back(SendBody(target_, body, kBodyBytes));
    const Cost& cost = costs.back();
    EXPECT_TRUE(AnsweredOrRefused(cost)) << cost.name << ": " << cost.status;
    EXPECT_LT(cost.cpu_seconds, kMaxCpuSeconds) << cost.name;
    // The body, what it is parsed to, and what the allocators of the server's threads keep.
    EXPECT_LE(cost.memory_bytes, 4 * kBodyBytes + (64 << 20)) << cost.name;
  }
  costs.push_back(SendChunks(target_, 10'000, 10));
  costs.push_back(SendChunks(target_, 2'000, 1'000));
  EXPECT_TRUE(costs.back().was_refused());
  EXPECT_LT(costs.back().cpu_seconds, kMaxCpuSeconds);
  SCOPED_TRACE(Ledger(costs));
  EXPECT_EQ(
      SendBody(target_, {"a good one", [](size_t) { return R"({"inputs":"One day"})"; }}, 0).status,
      200);
}

TEST_F(AttackTest, HealthIsAnsweredWhileSlowBodiesHoldEveryConnection) {
  const Cost cost = DripBodies(
      target_,
      {.connections = 48, .bytes_per_second = 620, .time = std::chrono::milliseconds(3000)});
  EXPECT_EQ(cost.status, 200) << Ledger({cost});
}

TEST_F(AttackTest, ManyBodiesStayWithinTheirBudget) {
  const Cost cost = SendManyBodies(target_, {.connections = 20, .body_bytes = 4'000'000});
  EXPECT_LE(cost.memory_bytes, uint64_t{576} << 20) << Ledger({cost});
  EXPECT_GE(cost.status, 400);
}

// Whatever it is busy with, it goes when it is told to.
TEST_F(AttackTest, TheEndComesInTimeUnderAttack) {
  std::vector<std::thread> attackers;
  for (int i = 0; i < 4; ++i) {
    attackers.emplace_back([&, i] {
      const std::vector<Body> bodies = AllBodies();
      http::TestClient client(target_.port);
      client.Send(
          http::PostRequest("/invocations", bodies[static_cast<size_t>(i)].make(3'000'000)));
      client.Receive(std::chrono::milliseconds(10'000));
    });
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  process_.Signal(SIGTERM);
  EXPECT_GE(process_.Wait(kMaxEndMs), 0) << "a signal ended it, or it did not end";
  for (std::thread& attacker : attackers) attacker.join();
}

}  // namespace
}  // namespace dray::attack
