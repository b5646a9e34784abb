// The events of the echo engine, in order, for each parameter that it heeds.
#include "engine/echo/echo_engine.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace dray::engine {
namespace {

using sampling::FinishReason;

constexpr int32_t kEnd = 100;

// Keeps the events of one request.
class Collector final : public EventSink {
 public:
  void OnStart() override { ++num_starts_; }
  void OnEvent(Event event) override {
    const std::lock_guard lock(mutex_);
    EXPECT_FALSE(end_) << "an event came after the end";
    if (auto* prompt = std::get_if<PromptEvent>(&event)) prompt_ = std::move(*prompt);
    if (auto* token = std::get_if<TokenEvent>(&event)) tokens_.push_back(std::move(*token));
    if (auto* sequence = std::get_if<SequenceEndEvent>(&event)) ends_.push_back(*sequence);
    if (auto* end = std::get_if<RequestEndEvent>(&event)) end_ = end->status;
    changed_.notify_all();
  }

  // All further calls come after the end, or after WaitForTokens.
  Status WaitForEnd() {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::seconds(60), [this] { return end_.has_value(); });
    return end_.value_or(Status(StatusCode::kInternal, "no end came"));
  }
  bool WaitForTokens(size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(60),
                             [&] { return tokens_.size() >= count; });
  }
  std::vector<int32_t> Ids(int sequence_idx = 0) const {
    std::vector<int32_t> ids;
    for (const TokenEvent& token : tokens_) {
      if (token.sequence_idx == sequence_idx) ids.push_back(token.token.id);
    }
    return ids;
  }
  int num_starts() const { return num_starts_; }
  const std::optional<PromptEvent>& prompt() const { return prompt_; }
  const std::vector<TokenEvent>& tokens() const { return tokens_; }
  const std::vector<SequenceEndEvent>& ends() const { return ends_; }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int num_starts_ = 0;
  std::optional<PromptEvent> prompt_;
  std::vector<TokenEvent> tokens_;
  std::vector<SequenceEndEvent> ends_;
  std::optional<Status> end_;
};

class EchoEngineTest : public testing::Test {
 protected:
  static EchoOptions Options() {
    return {.vocab_size = kEnd + 1, .end_token = kEnd, .max_context_tokens = 64};
  }
  static GenerateRequest Ask(std::vector<int32_t> prompt) {
    GenerateRequest request;
    request.prompt = std::move(prompt);
    return request;
  }
  std::shared_ptr<Collector> Submit(GenerateRequest request) {
    auto sink = std::make_shared<Collector>();
    id_ = *engine_->Submit(std::move(request), sink);
    return sink;
  }
  std::shared_ptr<Collector> Run(GenerateRequest request) {
    auto sink = Submit(std::move(request));
    EXPECT_TRUE(sink->WaitForEnd().ok());
    EXPECT_EQ(sink->num_starts(), 1);
    return sink;
  }

  std::unique_ptr<Engine> engine_ = StartEchoEngine(Options());
  RequestId id_{0};
};

TEST_F(EchoEngineTest, AnswersWithThePromptAndTheEndToken) {
  const auto sink = Run(Ask({7, 3, 7}));
  EXPECT_EQ(sink->Ids(), (std::vector<int32_t>{7, 3, 7, kEnd}));
  ASSERT_EQ(sink->ends().size(), 1U);
  EXPECT_EQ(sink->ends()[0].reason, FinishReason::kEosToken);
  EXPECT_FALSE(sink->prompt());
  EXPECT_TRUE(sink->tokens()[0].tops.empty());
}

TEST_F(EchoEngineTest, EndsAtTheLengthOrAStopToken) {
  GenerateRequest request = Ask({7, 3, 8});
  request.params.max_new_tokens = 2;
  auto sink = Run(request);
  EXPECT_EQ(sink->Ids(), (std::vector<int32_t>{7, 3}));
  EXPECT_EQ(sink->ends()[0].reason, FinishReason::kLength);
  request.params.max_new_tokens = 30;
  request.params.stop_token_ids = {3};
  sink = Run(request);
  EXPECT_EQ(sink->Ids(), (std::vector<int32_t>{7, 3}));
  EXPECT_EQ(sink->ends()[0].reason, FinishReason::kStopToken);
}

TEST_F(EchoEngineTest, RepeatsThePromptWhereTheEndTokenMayNotCome) {
  GenerateRequest request = Ask({7, 3});
  request.params.ignore_eos = true;
  request.params.max_new_tokens = 5;
  EXPECT_EQ(Run(request)->Ids(), (std::vector<int32_t>{7, 3, 7, 3, 7}));
  request.params.ignore_eos = false;
  request.params.min_new_tokens = 3;
  EXPECT_EQ(Run(request)->Ids(), (std::vector<int32_t>{7, 3, 7, kEnd}));
  request.params.stop_token_ids = {3};
  request.params.min_new_tokens = 2;
  EXPECT_EQ(Run(request)->Ids(), (std::vector<int32_t>{7, 3, kEnd}));
}

TEST_F(EchoEngineTest, AnswersEverySequenceAndItsProbabilities) {
  GenerateRequest request = Ask({7, 3});
  request.params.n = 2;
  request.params.num_logprobs = 1;
  request.params.prompt_logprobs = 1;
  const auto sink = Run(request);
  for (const int sequence_idx : {0, 1}) {
    EXPECT_EQ(sink->Ids(sequence_idx), (std::vector<int32_t>{7, 3, kEnd}));
  }
  EXPECT_EQ(sink->ends().size(), 2U);
  ASSERT_EQ(sink->tokens()[0].tops.size(), 1U);
  EXPECT_EQ(sink->tokens()[0].tops[0].id, 7);
  ASSERT_TRUE(sink->prompt());
  EXPECT_EQ(sink->prompt()->logprobs, std::vector<float>{0});
  EXPECT_EQ(sink->prompt()->tops.at(0).at(0).id, 3);
}

TEST_F(EchoEngineTest, CountsStepsAndTokens) {
  Run(Ask({7, 3}));
  // The counts are published after the last event.
  while (engine_->stats().running_sequences > 0 || engine_->stats().steps < 3) {
    std::this_thread::yield();
  }
  const EngineStats stats = engine_->stats();
  EXPECT_EQ(stats.steps, 3U);
  EXPECT_EQ(stats.prompt_tokens, 2U);
  EXPECT_EQ(stats.generated_tokens, 3U);
  EXPECT_EQ(stats.step_sizes.sum, 3U);
  EXPECT_TRUE(engine_->healthy());
  EXPECT_EQ(engine_->limits().max_context_tokens, 64);
}

// The second token is due in an hour: a request that waits for it ends at once when it is cancelled,
// keeps no other one from its tokens, and ends with the engine.
TEST_F(EchoEngineTest, RequestsThatWaitAreCancelledAndEndWithTheEngine) {
  EchoOptions options = Options();
  options.token_interval = std::chrono::hours(1);
  engine_ = StartEchoEngine(options);
  const auto cancelled = Submit(Ask({7, 3}));
  const RequestId cancelled_id = id_;
  ASSERT_TRUE(cancelled->WaitForTokens(1));
  const auto other = Submit(Ask({8, 9}));
  ASSERT_TRUE(other->WaitForTokens(1));
  EXPECT_EQ(other->Ids(), std::vector<int32_t>{8});
  EXPECT_EQ(cancelled->Ids(), std::vector<int32_t>{7});
  engine_->Cancel(cancelled_id);
  EXPECT_EQ(cancelled->WaitForEnd().code(), StatusCode::kCancelled);
  engine_.reset();
  EXPECT_EQ(other->WaitForEnd().code(), StatusCode::kCancelled);
}

}  // namespace
}  // namespace dray::engine
