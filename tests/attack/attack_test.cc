// The attacks in a small form, a few seconds in all. Only what holds on a busy machine too is asserted here:
// statuses, memory, and times far above the usual ones, which a fault still exceeds. attack_tool attacks in full
// and judges the times.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <string>
#include <thread>
#include <vector>

#include "attack/attacks.h"
#include "attack/ledger.h"
#include "attack/probes.h"
#include "attack/started_server.h"

namespace dray::attack {
namespace {

// What a body of kBodyBytes may cost at most. The usual is 0.04 s; reading members in quadratic time took 20 s.
constexpr double kMaxCpuSeconds = 5;
constexpr size_t kBodyBytes = 2'000'000;
// The longest that the server may take to end, 3 s of which drain: a fault kept it for 40 s and more.
constexpr int kMaxEndMs = 30'000;

constexpr size_t kMaxRequestBytes = size_t{8} << 20;
// As little as leaves room for a few bodies: 32 MiB of it are for copies.
constexpr uint64_t kRequestMemoryBytes = uint64_t{64} << 20;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr uint64_t kSlackBytes = uint64_t{1} << 30;  // sanitizers keep freed blocks for a while
#else
constexpr uint64_t kSlackBytes = uint64_t{64} << 20;
#endif

// A served demo model.
class AttackTest : public ::testing::Test {
 protected:
  // Connections that the kernel has and the server has not seen end still count: a crowd that goes and comes
  // again may be there twice.
  explicit AttackTest(int max_connections = 128)
      : server_(DRAY_PROGRAM,
                {"--max-connections", std::to_string(max_connections), "--drain-timeout", "3",
                 "--max-request-size", std::to_string(kMaxRequestBytes), "--max-request-memory",
                 std::to_string(kRequestMemoryBytes)}),
        target_{server_.port(), ServerMeter(server_.process().pid())} {}
  void SetUp() override { ASSERT_NE(target_.port, 0) << server_.process().output(); }

  StartedServer server_;
  Target target_;
};

TEST_F(AttackTest, NoBodyCostsMoreThanItsSize) {
  std::vector<Attack> attacks = {ChunkAttack(10'000, 10), ChunkAttack(2'000, 1'000),
                                 CompressedAttack(LongPrompt(), 4 * kBodyBytes)};
  for (const Body& body : AllBodies()) attacks.push_back(BodyAttack(body, kBodyBytes));
  const uint64_t before = target_.meter.PeakBytes();
  for (const Attack& attack : attacks) {
    const Cost cost = Measure(target_, attack);
    EXPECT_TRUE(cost.sent.status == 200 || cost.was_refused())
        << cost.name << ": " << cost.sent.status.value_or(0);
    EXPECT_LT(cost.cpu_seconds, kMaxCpuSeconds) << cost.name;
    EXPECT_LE(cost.peak_bytes, before + 4 * kBodyBytes + kSlackBytes) << cost.name;
  }
  const Body good = {"a good one", [](size_t) { return R"({"inputs":"One day"})"; }};
  EXPECT_EQ(Measure(target_, BodyAttack(good, 0)).sent.status, 200);
}

class FewConnectionsTest : public AttackTest {
 protected:
  FewConnectionsTest() : AttackTest(32) {}
};

TEST_F(FewConnectionsTest, HealthIsAnsweredWhileSlowBodiesHoldEveryConnection) {
  const Attack drip = DripAttack(
      {.connections = 48, .bytes_per_second = 620, .time = std::chrono::milliseconds(3000)});
  const Probes probes = ProbeDuring(target_.port, drip, std::chrono::milliseconds(1000));
  EXPECT_GT(probes.pings.seconds.size(), 10U);
  EXPECT_EQ(probes.pings.num_failed, 0U) << probes.pings.last_failure;
}

TEST_F(AttackTest, ManyBodiesStayWithinTheirBudgetAndLeaveRoomForSmallOnes) {
  const uint64_t before = target_.meter.PeakBytes();
  // Four times the memory that requests may take.
  const Attack crowd = CrowdAttack({.connections = 30, .body_bytes = kMaxRequestBytes - 1000});
  target_.meter.ForgetPeak();
  const Probes probes = ProbeDuring(target_.port, crowd, std::chrono::milliseconds(1000));
  EXPECT_LE(target_.meter.PeakBytes(), before + kRequestMemoryBytes + kSlackBytes);
  EXPECT_EQ(probes.pings.num_failed, 0U) << probes.pings.last_failure;
  EXPECT_EQ(probes.answers.num_failed, 0U) << probes.answers.last_failure;
  EXPECT_GE(crowd.run(target_.port).status, 400);
}

// Whatever it is busy with, it goes when it is told to.
TEST_F(AttackTest, TheEndComesInTimeUnderAttack) {
  std::atomic<bool> stop{false};
  std::vector<std::thread> attackers;
  for (size_t i = 0; i < 4; ++i) {
    attackers.emplace_back([&, i] {
      const Attack attack = BodyAttack(AllBodies()[i], kBodyBytes);
      while (!stop) attack.run(target_.port);
    });
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  server_.process().Signal(SIGTERM);
  EXPECT_GE(server_.process().Wait(kMaxEndMs), 0) << "a signal ended it, or it did not end";
  stop = true;
  for (std::thread& attacker : attackers) attacker.join();
}

}  // namespace
}  // namespace dray::attack
