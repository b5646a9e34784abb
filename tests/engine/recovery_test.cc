// A failed runner is replaced: streams go on where they stopped, and the engine answers meanwhile.
// recovery_simulation_test.cc does this at random; here whole models compute.
#include <algorithm>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/log.h"
#include "engine/engine_core.h"
#include "engine/speculation/model_drafter.h"
#include "engine/testing/test_runners.h"
#include "engine/token_engine.h"
#include "testing/engine_support.h"

namespace dray::engine {
namespace {

constexpr int64_t kNewTokens = 12;

EngineOptions SmallOptions() {
  EngineOptions options = {
      .max_batch_tokens = 16, .max_prefill_chunk_tokens = 16, .max_sequences = 4, .block_size = 16};
  options.speculation.costs = SpeculationOptions::Costs::kFixed;
  return options;
}

// Fails the runner at the given pieces, counted over all runners from 0.
FailingRunner::Spoil FailAt(std::vector<int64_t> pieces) {
  return [pieces = std::move(pieces), count = std::make_shared<int64_t>(0)](int64_t,
                                                                            StepPiece& piece) {
    const int64_t number = (*count)++;
    if (std::find(pieces.begin(), pieces.end(), number) == pieces.end()) return;
    piece.status = {StatusCode::kUnavailable, "rank 1 is gone"};
    piece.scope = FailureScope::kRunner;
  };
}

class RecoveryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    SetLogLevel(LogLevel::kOff);
    golden_ = testing::ReadGoldenModel("llama-gqa");
    model_ = LoadGolden(golden_);
    draft_ = LoadGolden(golden_);
    ASSERT_TRUE(model_ != nullptr && draft_ != nullptr);
  }
  void TearDown() override { SetLogLevel(LogLevel::kInfo); }

  void Start(const FailingRunner::Spoil& spoil, size_t max_in_flight, bool speculates) {
    const HoldingOptions holding = {.max_in_flight = max_in_flight,
                                    .time = ComputeTime::kInCollect};
    auto core = EngineCore::Make(*model_, SmallOptions(),
                                 speculates ? MakeModelDrafter(*draft_, 0) : nullptr,
                                 FailingRunners(spoil, HoldingRunners(holding), Replaceable::kYes));
    ASSERT_TRUE(core.ok()) << core.status().ToString();
    core_ = std::move(*core);
    sinks_.clear();
  }

  // Greedy and seeded requests, of one and two samples, with all log-probabilities.
  void AddRequests() {
    for (size_t i = 0; i < golden_.prompts.size(); ++i) {
      GenerateRequest request = MakeRequest(golden_.prompts[i].ids, kNewTokens);
      request.params.do_sample = i % 2 == 1;
      request.params.seed = i;
      request.params.n = i % 3 == 2 ? 2 : 1;
      request.params.repetition_penalty = 1.2;
      request.params.num_logprobs = 2;
      request.params.prompt_logprobs = 1;
      sinks_.push_back(std::make_shared<RecordingSink>());
      core_->Add(RequestId(i + 1), std::move(request), sinks_.back());
    }
  }

  void RunToEnd() {
    for (;;) {
      if (auto restart = core_->TakeRestart()) core_->FinishRestart(restart->Run());
      if (!core_->Step() && !core_->restarting()) break;
      ASSERT_TRUE(core_->CheckIntegrity().ok());
    }
    EXPECT_EQ(core_->stats().free_blocks, core_->stats().total_blocks);
  }

  // Everything that the requests got, as numbers.
  std::vector<std::vector<float>> Answers() {
    std::vector<std::vector<float>> answers;
    for (const auto& sink : sinks_) {
      EXPECT_TRUE(sink->status().ok()) << sink->status().ToString();
      EXPECT_EQ(sink->Prompts().size(), 1U);
      for (const PromptEvent& prompt : sink->Prompts()) answers.push_back(prompt.logprobs);
      for (const int sample : {0, 1}) {
        answers.emplace_back();
        for (const TokenEvent& token : sink->Tokens(sample)) {
          answers.back().push_back(static_cast<float>(token.token.id));
          answers.back().push_back(token.token.logprob);
          for (const auto& top : token.tops) answers.back().push_back(top.logprob);
        }
      }
    }
    return answers;
  }

  testing::GoldenModel golden_;
  std::unique_ptr<LoadedModel> model_;
  std::unique_ptr<LoadedModel> draft_;
  std::unique_ptr<EngineCore> core_;
  std::vector<std::shared_ptr<RecordingSink>> sinks_;
};

TEST_F(RecoveryTest, AnswersAreTheSameAsWithoutFailures) {
  Start(FailAt({}), 1, false);
  AddRequests();
  RunToEnd();
  const auto expected = Answers();
  for (const size_t max_in_flight : {1, 3}) {
    for (const bool speculates : {false, true}) {
      for (int64_t first = 0; first < 24; first += 3) {
        Start(FailAt({first, first + 1, first + 7, first + 20}), max_in_flight, speculates);
        AddRequests();
        RunToEnd();
        EXPECT_EQ(core_->stats().restarts, 4U);
        EXPECT_EQ(Answers(), expected) << "failures from piece " << first << " on";
      }
    }
  }
}

TEST_F(RecoveryTest, ARequestThatIsAloneAtFourFailuresEndsByName) {
  Start(FailAt({0, 1, 2, 3}), 1, false);
  sinks_.push_back(std::make_shared<RecordingSink>());
  core_->Add(RequestId(1), MakeRequest(golden_.prompts[0].ids, kNewTokens), sinks_.back());
  RunToEnd();
  EXPECT_EQ(sinks_[0]->status().code(), StatusCode::kInternal);
  EXPECT_NE(sinks_[0]->status().message().find("rank 1 is gone"), std::string::npos);
  EXPECT_TRUE(core_->health().ok());
  sinks_.push_back(std::make_shared<RecordingSink>());
  core_->Add(RequestId(2), MakeRequest(golden_.prompts[0].ids, kNewTokens), sinks_.back());
  RunToEnd();
  EXPECT_TRUE(sinks_[1]->status().ok());
}

// Makes runners, of which the later ones wait until the test lets them come.
class Gate {
 public:
  RunnerMaker Guard(RunnerMaker make) {
    return [this, make = std::move(make)](LoadedModel& model, const RunnerSpec& spec) {
      std::unique_lock lock(mutex_);
      const int number = num_begun_++;
      changed_.notify_all();
      changed_.wait(lock, [&] { return number <= last_; });
      return make(model, spec);
    };
  }
  void WaitUntilBegun(int count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return num_begun_ >= count; });
  }
  void Open() {
    const std::lock_guard lock(mutex_);
    ++last_;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int num_begun_ = 0;
  int last_ = 0;  // the runner that may be made
};

TEST_F(RecoveryTest, TheEngineTakesRequestsAndCancellationsMeanwhile) {
  Gate gate;
  auto engine = StartEngine(std::move(model_), SmallOptions(), nullptr,
                            gate.Guard(FailingRunners(FailAt({3}), MakeRunner, Replaceable::kYes)));
  ASSERT_TRUE(engine.ok());
  const auto ask = [&](size_t prompt) {
    sinks_.push_back(std::make_shared<RecordingSink>());
    auto id =
        (*engine)->Submit(MakeRequest(golden_.prompts[prompt].ids, kNewTokens), sinks_.back());
    EXPECT_TRUE(id.ok());
    return *id;
  };
  ask(0);
  const RequestId second = ask(0);
  gate.WaitUntilBegun(2);
  ask(0);
  (*engine)->Cancel(second);
  EXPECT_EQ(sinks_[1]->WaitForEnd().code(), StatusCode::kCancelled);
  // The numbers are published before the thread sleeps, and the cancellation has woken it.
  while ((*engine)->stats().waiting_sequences != 2) std::this_thread::yield();
  EXPECT_EQ((*engine)->stats().restarting, 1);
  EXPECT_EQ((*engine)->stats().restarts, 1U);
  EXPECT_TRUE((*engine)->healthy());
  EXPECT_EQ(sinks_[0]->num_ends(), 0);
  gate.Open();
  const std::vector<int32_t> expected(golden_.prompts[0].greedy.begin(),
                                      golden_.prompts[0].greedy.begin() + kNewTokens);
  for (const size_t i : {0, 2}) {
    EXPECT_TRUE(sinks_[i]->WaitForEnd().ok());
    EXPECT_EQ(sinks_[i]->Ids(), expected);
  }
  while ((*engine)->stats().restarting != 0) std::this_thread::yield();
  EXPECT_GT((*engine)->stats().restart_seconds, 0);
}

// Fails between steps when the test says so.
class WatchedRunner final : public ModelRunner {
 public:
  struct Watch {
    std::mutex mutex;
    Status failure;
    std::function<void()> notify;
    int num_runners = 0;

    void Fail() {
      const std::lock_guard lock(mutex);
      failure = {StatusCode::kUnavailable, "rank 1 is gone"};
      notify();
    }
  };

  WatchedRunner(std::unique_ptr<ModelRunner> inner, Watch& watch)
      : inner_(std::move(inner)), watch_(watch) {
    const std::lock_guard lock(watch_.mutex);
    watch_.failure = OkStatus();
    ++watch_.num_runners;
  }

  size_t max_steps_in_flight() const override { return inner_->max_steps_in_flight(); }
  void Submit(const RunnerStep& step) override { inner_->Submit(step); }
  StepPiece Collect() override { return inner_->Collect(); }
  void Abandon() override { inner_->Abandon(); }
  bool replaceable() const override { return true; }
  Status failure() const override {
    const std::lock_guard lock(watch_.mutex);
    return watch_.failure;
  }
  void OnFailure(const std::function<void()>& notify) override {
    const std::lock_guard lock(watch_.mutex);
    watch_.notify = notify;
  }

 private:
  std::unique_ptr<ModelRunner> inner_;
  Watch& watch_;
};

TEST_F(RecoveryTest, ARunnerThatFailsBetweenStepsIsReplacedAtOnce) {
  WatchedRunner::Watch watch;
  auto engine = StartEngine(
      std::move(model_), SmallOptions(), nullptr,
      [&](LoadedModel& model, const RunnerSpec& spec) -> Result<std::unique_ptr<ModelRunner>> {
        DRAY_ASSIGN_OR_RETURN(auto inner, MakeRunner(model, spec));
        return std::unique_ptr<ModelRunner>(
            std::make_unique<WatchedRunner>(std::move(inner), watch));
      });
  ASSERT_TRUE(engine.ok());
  watch.Fail();
  while ((*engine)->stats().restarts != 1 || (*engine)->stats().restarting != 0) {
    std::this_thread::yield();
  }
  EXPECT_EQ(watch.num_runners, 2);
  const auto sink = std::make_shared<RecordingSink>();
  ASSERT_TRUE((*engine)->Submit(MakeRequest(golden_.prompts[0].ids, kNewTokens), sink).ok());
  EXPECT_TRUE(sink->WaitForEnd().ok());
}

TEST_F(RecoveryTest, AnEngineMayEndDuringARestart) {
  Gate gate;
  auto engine = StartEngine(std::move(model_), SmallOptions(), nullptr,
                            gate.Guard(FailingRunners(FailAt({0}), MakeRunner, Replaceable::kYes)));
  ASSERT_TRUE(engine.ok());
  const auto sink = std::make_shared<RecordingSink>();
  ASSERT_TRUE((*engine)->Submit(MakeRequest(golden_.prompts[0].ids, kNewTokens), sink).ok());
  gate.WaitUntilBegun(2);
  gate.Open();
  engine->reset();
  EXPECT_EQ(sink->num_ends(), 1);
}

}  // namespace
}  // namespace dray::engine
