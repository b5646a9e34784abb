// What ends when something fails: a request alone, the requests of a step, or all that a runner
// computes.
#include <algorithm>
#include <limits>
#include <new>
#include <utility>
#include <vector>

#include "engine/engine_core.h"
#include "engine/testing/test_runners.h"
#include "engine/token_engine.h"
#include "testing/engine_support.h"

namespace dray::engine {
namespace {

constexpr auto kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr int64_t kNewTokens = 12;

using Sinks = std::vector<std::shared_ptr<RecordingSink>>;

class FailureScopeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    golden_ = testing::ReadGoldenModel("llama-gqa");
    model_ = LoadGolden(golden_);
    ASSERT_NE(model_, nullptr);
  }

  // A core whose runner spoils its results, with up to `max_in_flight` steps of `step_tokens` in flight.
  void Start(FailingRunner::Spoil spoil, size_t max_in_flight = 1, int64_t step_tokens = 16) {
    const HoldingOptions holding = {.max_in_flight = max_in_flight,
                                    .time = ComputeTime::kInCollect};
    auto core =
        EngineCore::Make(*model_,
                         {.max_batch_tokens = step_tokens,
                          .max_prefill_chunk_tokens = step_tokens,
                          .max_sequences = 8,
                          .block_size = 16},
                         nullptr, FailingRunners(std::move(spoil), HoldingRunners(holding)));
    ASSERT_TRUE(core.ok()) << core.status().ToString();
    core_ = std::move(*core);
  }

  void Add(const testing::GoldenPrompt& prompt) {
    sinks_.push_back(std::make_shared<RecordingSink>());
    expected_.emplace_back(prompt.greedy.begin(), prompt.greedy.begin() + kNewTokens);
    core_->Add(RequestId(sinks_.size()), MakeRequest(prompt.ids, kNewTokens), sinks_.back());
  }
  void Add() { Add(golden_.prompts[0]); }
  void RunToEnd() {
    while (core_->Step()) {
      EXPECT_TRUE(core_->CheckIntegrity().ok()) << core_->CheckIntegrity().ToString();
    }
    EXPECT_EQ(core_->stats().free_blocks, core_->stats().total_blocks);
    EXPECT_TRUE(core_->idle());
  }
  void ExpectGolden(size_t i) {
    EXPECT_TRUE(sinks_[i]->status().ok()) << sinks_[i]->status().ToString();
    EXPECT_EQ(sinks_[i]->Ids(), expected_[i]);
  }
  void ExpectFailed(size_t i, StatusCode code, const std::string& text) {
    EXPECT_EQ(sinks_[i]->num_ends(), 1);
    EXPECT_EQ(sinks_[i]->status().code(), code) << sinks_[i]->status().ToString();
    EXPECT_NE(sinks_[i]->status().message().find(text), std::string::npos)
        << sinks_[i]->status().ToString();
  }

  testing::GoldenModel golden_;
  std::unique_ptr<LoadedModel> model_;
  std::unique_ptr<EngineCore> core_;
  Sinks sinks_;
  std::vector<std::vector<int32_t>> expected_;  // [i]: the tokens of sinks_[i]
};

TEST_F(FailureScopeTest, ARowWithoutNumbersEndsItsRequestAlone) {
  Start([](int64_t step_idx, StepPiece& piece) {
    const auto row = piece.logits.size() / static_cast<size_t>(piece.num_rows);
    if (step_idx == 3) std::fill_n(piece.logits.begin(), row, kNaN);
  });
  for (int i = 0; i < 3; ++i) Add();
  RunToEnd();
  ExpectFailed(0, StatusCode::kInternal, "");
  EXPECT_EQ(sinks_[0]->Ids().size(), 3U);
  ExpectGolden(1);
  ExpectGolden(2);
}

TEST_F(FailureScopeTest, AFailedPieceEndsTheRequestsOfItsRows) {
  Start([](int64_t step_idx, StepPiece& piece) {
    if (step_idx != 3) return;
    // As if the first row had been a piece of its own.
    piece.num_rows = 1;
    piece.logits = {};
    piece.status = {StatusCode::kInternal, "rows are damaged"};
    piece.scope = FailureScope::kRequest;
  });
  Add();
  RunToEnd();
  ExpectFailed(0, StatusCode::kInternal, "rows are damaged");
  Add();
  RunToEnd();
  ExpectGolden(1);
}

TEST_F(FailureScopeTest, AFailedStepEndsTheRequestsOfThatStep) {
  // A prompt fills a step: step 0 is of the first request and step 1 of the second.
  const testing::GoldenPrompt& prompt =
      *std::max_element(golden_.prompts.begin(), golden_.prompts.end(),
                        [](const auto& a, const auto& b) { return a.ids.size() < b.ids.size(); });
  Start(
      [](int64_t step_idx, StepPiece& piece) {
        if (step_idx == 1) piece.status = {StatusCode::kResourceExhausted, "the step is too large"};
      },
      2, static_cast<int64_t>(prompt.ids.size()));
  for (int i = 0; i < 3; ++i) Add(prompt);
  RunToEnd();
  ExpectGolden(0);
  ExpectFailed(1, StatusCode::kResourceExhausted, "the step is too large");
  ExpectGolden(2);
  EXPECT_TRUE(core_->health().ok());
  Add();
  RunToEnd();
  ExpectGolden(3);
}

void FailRunnerInStep3(int64_t step_idx, StepPiece& piece) {
  if (step_idx != 3) return;
  piece.status = {StatusCode::kInternal, "rank 1 is gone"};
  piece.scope = FailureScope::kRunner;
}

TEST_F(FailureScopeTest, AFailedRunnerEndsEverything) {
  for (const size_t max_in_flight : {1, 3}) {
    sinks_.clear();
    expected_.clear();
    Start(FailRunnerInStep3, max_in_flight);
    for (int i = 0; i < 5; ++i) {
      Add();
      core_->Step();
    }
    RunToEnd();
    EXPECT_EQ(core_->health().code(), StatusCode::kUnavailable);
    Add();
    EXPECT_FALSE(core_->Step());
    for (size_t i = 0; i < sinks_.size(); ++i) {
      ExpectFailed(i, StatusCode::kUnavailable, "runner has failed (rank 1 is gone): load");
    }
  }
}

TEST_F(FailureScopeTest, AnEngineWithAFailedRunnerRefuses) {
  auto engine = StartEngine(std::move(model_), {.max_sequences = 8, .block_size = 16}, nullptr,
                            FailingRunners(FailRunnerInStep3, MakeRunner));
  ASSERT_TRUE(engine.ok());
  EXPECT_TRUE((*engine)->healthy());
  const GenerateRequest request = MakeRequest(golden_.prompts[0].ids, kNewTokens);
  const auto sink = std::make_shared<RecordingSink>();
  ASSERT_TRUE((*engine)->Submit(request, sink).ok());
  EXPECT_EQ(sink->WaitForEnd().code(), StatusCode::kUnavailable);
  // The engine's thread tells so when it comes round, after the event; until then it accepts
  // requests, and ends them in the same way.
  Status refusal;
  while (refusal.ok()) {
    const auto late = std::make_shared<RecordingSink>();
    refusal = (*engine)->Submit(request, late).status();
    if (!refusal.ok()) break;
    EXPECT_EQ(late->WaitForEnd().code(), StatusCode::kUnavailable);
  }
  EXPECT_EQ(refusal.code(), StatusCode::kUnavailable);
  EXPECT_NE(refusal.message().find("rank 1 is gone"), std::string::npos);
  EXPECT_FALSE((*engine)->healthy());
}

// Takes its first tokens, then has no memory for more.
class ThrowingSink : public EventSink {
 public:
  void OnEvent(Event event) override {
    if (const auto* end = std::get_if<RequestEndEvent>(&event)) status = end->status;
    if (std::holds_alternative<TokenEvent>(event) && ++num_tokens == 3) throw std::bad_alloc();
  }
  Status status;
  int num_tokens = 0;
};

TEST_F(FailureScopeTest, AnExceptionEndsWhatIsThereAndTheEngineGoesOn) {
  for (const size_t max_in_flight : {1, 3}) {
    sinks_.clear();
    expected_.clear();
    Start([](int64_t, StepPiece&) {}, max_in_flight);
    Add();
    core_->Step();
    const auto thrower = std::make_shared<ThrowingSink>();
    core_->Add(RequestId(100), MakeRequest(golden_.prompts[1].ids, kNewTokens), thrower);
    EXPECT_THROW(RunToEnd(), std::bad_alloc);
    core_->Abandon({StatusCode::kInternal, "no memory"});
    EXPECT_TRUE(core_->idle());
    ExpectFailed(0, StatusCode::kInternal, "no memory");
    EXPECT_EQ(thrower->status.code(), StatusCode::kInternal);
    Add();
    RunToEnd();
    ExpectGolden(1);
  }
}

}  // namespace
}  // namespace dray::engine
