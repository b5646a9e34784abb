// When failed runners are replaced, and when that ends.
#include "engine/recovery/runner_keeper.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "base/log.h"

namespace dray::engine {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

class IdleRunner final : public ModelRunner {
 public:
  IdleRunner(int& num_alive, bool replaceable) : num_alive_(num_alive), replaceable_(replaceable) {
    ++num_alive_;
  }
  ~IdleRunner() override { --num_alive_; }
  size_t max_steps_in_flight() const override { return 1; }
  void Submit(const RunnerStep&) override {}
  StepPiece Collect() override { return {}; }
  void Abandon() override {}
  bool replaceable() const override { return replaceable_; }

 private:
  int& num_alive_;
  bool replaceable_;
};

class RunnerKeeperTest : public ::testing::Test {
 protected:
  void SetUp() override { SetLogLevel(LogLevel::kOff); }
  void TearDown() override { SetLogLevel(LogLevel::kInfo); }

  void Start(int64_t max_per_hour, bool replaceable = true) {
    keeper_.emplace(max_per_hour);
    const Status status = keeper_->Start([this,
                                          replaceable]() -> Result<std::unique_ptr<ModelRunner>> {
      EXPECT_EQ(num_alive_, 0) << "the failed runner is destroyed first";
      if (throws_) throw std::runtime_error("no memory");
      if (refuses_) return Status(StatusCode::kIo, "no process");
      return std::unique_ptr<ModelRunner>(std::make_unique<IdleRunner>(num_alive_, replaceable));
    });
    ASSERT_TRUE(status.ok());
  }
  void Lose() { keeper_->Lose({StatusCode::kUnavailable, "rank 1 is gone"}, now_); }
  // Returns the wait before the restart.
  milliseconds Restart() {
    auto restart = keeper_->TakeRestart();
    EXPECT_TRUE(restart.has_value());
    if (!restart) return {};
    EXPECT_FALSE(keeper_->TakeRestart().has_value());
    const milliseconds delay = restart->delay();
    auto made = restart->Run();
    now_ += seconds(2);
    keeper_->Finish(std::move(made), now_);
    return delay;
  }

  int num_alive_ = 0;
  bool refuses_ = false;
  bool throws_ = false;
  RunnerKeeper::Clock::time_point now_;
  std::optional<RunnerKeeper> keeper_;
};

TEST_F(RunnerKeeperTest, AFailedRunnerIsReplaced) {
  Start(10);
  ASSERT_NE(keeper_->runner(), nullptr);
  Lose();
  EXPECT_TRUE(keeper_->restarting());
  EXPECT_EQ(keeper_->runner(), nullptr);
  EXPECT_EQ(keeper_->num_restarts(), 1U);
  EXPECT_EQ(Restart(), milliseconds(0));
  EXPECT_FALSE(keeper_->restarting());
  EXPECT_NE(keeper_->runner(), nullptr);
  EXPECT_EQ(keeper_->restart_seconds(), 2);
  EXPECT_TRUE(keeper_->health().ok());
  EXPECT_EQ(num_alive_, 1);
}

TEST_F(RunnerKeeperTest, ARunnerThatCannotBeReplacedEndsAll) {
  Start(10, false);
  Lose();
  EXPECT_FALSE(keeper_->restarting());
  EXPECT_FALSE(keeper_->TakeRestart().has_value());
  EXPECT_EQ(keeper_->health().code(), StatusCode::kUnavailable);
  EXPECT_NE(keeper_->health().message().find("rank 1 is gone"), std::string::npos);
}

TEST_F(RunnerKeeperTest, RestartsOfTheLastHourAreBounded) {
  Start(2);
  for (int i = 0; i < 2; ++i) {
    Lose();
    Restart();
    keeper_->OnProgress();
  }
  now_ += minutes(61);
  for (int i = 0; i < 2; ++i) {
    Lose();
    Restart();
    keeper_->OnProgress();
    now_ += minutes(29);
  }
  Lose();
  EXPECT_EQ(keeper_->health().code(), StatusCode::kUnavailable);
  EXPECT_EQ(keeper_->num_restarts(), 4U);
}

TEST_F(RunnerKeeperTest, NoRestartsMayBeAllowed) {
  Start(0);
  Lose();
  EXPECT_FALSE(keeper_->health().ok());
}

TEST_F(RunnerKeeperTest, RestartsThatAreOfNoUseComeSlowerAndEnd) {
  Start(1000);
  Lose();
  refuses_ = true;
  milliseconds expected(0);
  for (int64_t i = 0; i < RunnerKeeper::kMostInARow; ++i) {
    EXPECT_TRUE(keeper_->restarting());
    EXPECT_EQ(Restart(), expected);
    if (i > 0) expected = i == 1 ? milliseconds(250) : std::min(milliseconds(4000), 2 * expected);
  }
  EXPECT_FALSE(keeper_->restarting());
  EXPECT_NE(keeper_->health().message().find("no process"), std::string::npos);
}

TEST_F(RunnerKeeperTest, ProgressEndsTheRow) {
  Start(1000);
  for (int64_t i = 0; i < 3 * RunnerKeeper::kMostInARow; ++i) {
    Lose();
    EXPECT_EQ(Restart(), milliseconds(0));
    keeper_->OnProgress();
  }
  EXPECT_TRUE(keeper_->health().ok());
}

TEST_F(RunnerKeeperTest, AnExceptionIsAFailedRestart) {
  Start(1000);
  Lose();
  throws_ = true;
  Restart();
  EXPECT_TRUE(keeper_->restarting());
  throws_ = false;
  Restart();
  EXPECT_NE(keeper_->runner(), nullptr);
  EXPECT_EQ(keeper_->restart_seconds(), 4) << "from the failure to the new runner";
}

}  // namespace
}  // namespace dray::engine
