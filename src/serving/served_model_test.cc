// From text to text events over an engine that needs no model.
#include "serving/served_model.h"

#include <gtest/gtest.h>

#include <functional>

#include "serving/testing/fakes.h"

namespace dray::serving {
namespace {

using std::chrono::milliseconds;

// Keeps everything, as one would who prints it at the end.
class Collector final : public TextSink {
 public:
  void OnEvent(TextEvent event) override {
    const std::lock_guard lock(mutex_);
    if (auto* prompt = std::get_if<PromptTextEvent>(&event)) prompt_ = std::move(prompt->tokens);
    if (auto* some = std::get_if<SequenceTextEvent>(&event)) {
      auto& sequence = sequences_[some->sequence_idx];
      EXPECT_FALSE(sequence.finish.has_value());
      EXPECT_TRUE(!some->tokens.empty() || some->finish);
      for (TextToken& token : some->tokens) sequence.tokens.push_back(std::move(token));
      sequence.tail += some->tail_text;
      sequence.finish = some->finish;
    }
    if (auto* end = std::get_if<EndEvent>(&event)) {
      EXPECT_FALSE(end_.has_value());
      end_ = end->status();
    }
    changed_.notify_all();
  }

  struct Sequence {
    std::vector<TextToken> tokens;
    std::string tail;
    std::optional<sampling::FinishReason> finish;
    std::string text() const {
      std::string text;
      for (const TextToken& token : tokens) text += token.text;
      return text + tail;
    }
  };

  Status WaitForEnd() {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::seconds(10), [this] { return end_.has_value(); });
    return end_.value_or(Status(StatusCode::kInternal, "no end came"));
  }
  bool WaitForTokens(size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10),
                             [&] { return sequences_[0].tokens.size() >= count; });
  }
  Sequence& sequence(int index = 0) { return sequences_[index]; }
  std::vector<TextToken>& prompt() { return prompt_; }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<int, Sequence> sequences_;
  std::vector<TextToken> prompt_;
  std::optional<Status> end_;
};

class ModelTest : public testing::Test {
 protected:
  void Make(FakeEngine::Options engine = {}, ModelOptions options = {}) {
    auto fake = std::make_unique<FakeEngine>(std::move(engine));
    engine_ = fake.get();
    model_ = std::make_unique<ServedModel>(std::move(options), std::move(fake),
                                           std::make_unique<ByteCodec>());
  }
  static TextRequest Ask(std::string text) {
    TextRequest request;
    request.text = std::move(text);
    return request;
  }
  // Submits and waits for the end, which must be ok.
  std::shared_ptr<Collector> Run(const TextRequest& request) {
    auto sink = std::make_shared<Collector>();
    const auto generation = model_->Submit(request, sink);
    EXPECT_TRUE(generation.ok()) << generation.status().message();
    EXPECT_TRUE(!generation.ok() || sink->WaitForEnd().ok());
    return sink;
  }
  std::string Refusal(const TextRequest& request, StatusCode code = StatusCode::kInvalidArgument) {
    const auto generation = model_->Submit(request, std::make_shared<Collector>());
    EXPECT_FALSE(generation.ok());
    EXPECT_EQ(generation.status().code(), code);
    return generation.status().message();
  }
  bool WaitFor(const std::function<bool()>& condition) {
    for (int i = 0; i < 5000 && !condition(); ++i) std::this_thread::sleep_for(milliseconds(1));
    return condition();
  }

  FakeEngine* engine_ = nullptr;
  std::unique_ptr<ServedModel> model_;
};

TEST_F(ModelTest, TextComesBackTokenByToken) {
  Make();
  const auto sink = Run(Ask("h\xC3\xA9!"));
  EXPECT_EQ(sink->sequence().text(), "h\xC3\xA9!");
  EXPECT_EQ(sink->sequence().finish, sampling::FinishReason::kEosToken);
  // The character's first byte adds nothing, its second all of it; the end token adds nothing.
  std::vector<std::string> texts;
  for (const TextToken& token : sink->sequence().tokens) texts.push_back(token.text);
  EXPECT_EQ(texts, (std::vector<std::string>{"h", "", "\xC3\xA9", "!", ""}));
  EXPECT_TRUE(sink->sequence().tokens.back().special);
  EXPECT_EQ(sink->sequence().tail, "");
}

TEST_F(ModelTest, AnUnfinishedCharacterBelongsToTheLastToken) {
  Make();
  TextRequest request = Ask("a\xC3\xA9");
  request.max_new_tokens = 2;
  const auto sink = Run(request);
  EXPECT_EQ(sink->sequence().tokens.size(), 2U);
  EXPECT_EQ(sink->sequence().tokens[1].text, "\xEF\xBF\xBD");
  EXPECT_EQ(sink->sequence().finish, sampling::FinishReason::kLength);
}

TEST_F(ModelTest, TheLastTokenComesWithTheEnd) {
  Make();
  for (const int64_t length : {1, 2, 3}) {
    TextRequest request = Ask("abcdef");
    request.max_new_tokens = length;
    EXPECT_EQ(Run(request)->sequence().tail, "");
  }
  TextRequest request = Ask("abcdef");
  request.params.stop_token_ids = {'c'};
  const auto sink = Run(request);
  EXPECT_EQ(sink->sequence().text(), "abc");
  EXPECT_EQ(sink->sequence().finish, sampling::FinishReason::kStopToken);
}

TEST_F(ModelTest, AStopStringEndsTextAndRequest) {
  Make();
  TextRequest request = Ask("one two three four");
  request.params.stop_strings = {"thr", "zzz"};
  const auto sink = Run(request);
  EXPECT_EQ(sink->sequence().text(), "one two ");
  EXPECT_EQ(sink->sequence().finish, sampling::FinishReason::kStopString);
  EXPECT_EQ(sink->sequence().tokens.size(), 11U);
  EXPECT_TRUE(WaitFor([&] { return engine_->num_cancelled() == 1 && engine_->num_live() == 0; }));
  EXPECT_EQ(model_->num_in_flight(), 0);

  request.params.include_stop_str_in_output = true;
  EXPECT_EQ(Run(request)->sequence().text(), "one two thr");
  // Held back to the end, then it was no stop string.
  request.text = "one th";
  EXPECT_EQ(Run(request)->sequence().text(), "one th");
}

TEST_F(ModelTest, OneSequenceMayStopWhileAnotherGoesOn) {
  FakeEngine::Options engine;
  engine.next_token = [](const engine::GenerateRequest&, int sequence, int64_t step) {
    return static_cast<int32_t>((sequence == 0 ? 'a' : 'n') + step);
  };
  Make(engine);
  TextRequest request = Ask("x");
  request.params.n = 2;
  request.max_new_tokens = 10;
  request.params.stop_strings = {"cd"};
  const auto sink = Run(request);
  EXPECT_EQ(sink->sequence(0).text(), "ab");
  EXPECT_EQ(sink->sequence(0).finish, sampling::FinishReason::kStopString);
  EXPECT_EQ(sink->sequence(1).text(), "nopqrstuvw");
  EXPECT_EQ(sink->sequence(1).finish, sampling::FinishReason::kLength);
  EXPECT_TRUE(WaitFor([&] { return engine_->num_live() == 0; }));
}

TEST_F(ModelTest, SpecialTokensShowOnDemand) {
  Make();
  TextRequest request = Ask("hi");
  request.special_tokens = SpecialTokens::kKeep;
  EXPECT_EQ(Run(request)->sequence().text(), "hi<end>");
}

TEST_F(ModelTest, LogProbabilitiesOnlyWhereAskedFor) {
  Make();
  EXPECT_FALSE(Run(Ask("ab"))->sequence().tokens[0].logprob.has_value());
  TextRequest request = Ask("ab");
  request.params.num_logprobs = 2;
  request.params.prompt_logprobs = 0;
  const auto sink = Run(request);
  EXPECT_FLOAT_EQ(*sink->sequence().tokens[0].logprob, -0.097F);
  ASSERT_EQ(sink->sequence().tokens[0].tops.size(), 2U);
  EXPECT_EQ(sink->sequence().tokens[0].tops[1].text, "b");
  ASSERT_EQ(sink->prompt().size(), 2U);
  EXPECT_FALSE(sink->prompt()[0].logprob.has_value());
  EXPECT_FLOAT_EQ(*sink->prompt()[1].logprob, -0.098F);
  EXPECT_EQ(sink->prompt()[1].text, "b");
}

TEST_F(ModelTest, LengthsAreNamedWhereTheyDoNotFit) {
  Make();
  EXPECT_EQ(Refusal(Ask(std::string(64, 'x'))),
            "the prompt has 64 tokens; this model's context holds 64 tokens, prompt and new ones "
            "together; shorten the prompt, or set \"truncate\"");
  TextRequest request = Ask("abc");
  request.max_new_tokens = 62;
  EXPECT_EQ(Refusal(request),
            "the prompt has 3 tokens and \"max_new_tokens\" asks for 62 more; this model's context "
            "holds 64 together; ask for at most 61");
  request.max_new_tokens = 0;
  EXPECT_NE(Refusal(request).find("max_new_tokens"), std::string::npos);
  EXPECT_NE(Refusal(Ask(std::string((size_t{1} << 20) + 1, 'x'))).find("1048577 bytes"),
            std::string::npos);
  EXPECT_NE(Refusal(Ask("")).find("no tokens"), std::string::npos);
  EXPECT_EQ(engine_->num_submitted(), 0);
}

TEST_F(ModelTest, DefaultsFitThemselvesIn) {
  Make();
  EXPECT_EQ(Run(Ask(std::string(50, 'x')))->sequence().tokens.size(), 14U);
  TextRequest request = Ask("abcd");
  request.max_length = 6;
  EXPECT_EQ(Run(request)->sequence().text(), "ab");
  request.max_length = 4;
  EXPECT_NE(Refusal(request).find("max_length"), std::string::npos);
  request = Ask("0123456789" + std::string(60, 'y'));
  request.truncate = 3;
  EXPECT_EQ(Run(request)->sequence().text(), "yyy");
  EXPECT_EQ(engine_->last_request().prompt.size(), 3U);
  request.truncate = 0;
  EXPECT_NE(Refusal(request).find("truncate"), std::string::npos);
}

TEST_F(ModelTest, BadWordsBecomeTokensInBothSpellings) {
  Make();
  TextRequest request = Ask("x");
  request.bad_words = {"ab"};
  Run(request);
  EXPECT_EQ(engine_->last_request().params.bad_words,
            (std::vector<std::vector<int32_t>>{{'a', 'b'}, {' ', 'a', 'b'}}));
}

// Counts what it is asked to tokenize.
class CountingCodec final : public TextCodec {
 public:
  explicit CountingCodec(int64_t& num_calls) : num_calls_(num_calls) {}
  Result<std::vector<int32_t>> EncodePrompt(std::string_view text,
                                            const CancelCheck& is_cancelled) const override {
    ++num_calls_;
    return bytes_.EncodePrompt(text, is_cancelled);
  }
  Result<std::vector<int32_t>> EncodePlain(std::string_view text) const override {
    ++num_calls_;
    return bytes_.EncodePlain(text);
  }
  std::string TokenText(int32_t id) const override { return bytes_.TokenText(id); }
  bool IsSpecial(int32_t id) const override { return bytes_.IsSpecial(id); }
  std::unique_ptr<TextStream> NewStream(SpecialTokens special_tokens,
                                        std::span<const int32_t> prompt) const override {
    return bytes_.NewStream(special_tokens, prompt);
  }
  size_t max_token_bytes() const override { return 1; }

 private:
  int64_t& num_calls_;
  const ByteCodec bytes_;
};

TEST_F(ModelTest, ATextThatNobodyWaitsForIsNotTokenized) {
  struct LeftSink final : TextSink {
    void OnEvent(TextEvent) override { ADD_FAILURE() << "an event for nobody"; }
    bool cancelled() const override { return true; }
  };
  Make();
  const auto refused = model_->Submit(Ask("abc"), std::make_shared<LeftSink>());
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().code(), StatusCode::kCancelled);
  EXPECT_EQ(model_->num_in_flight(), 0);
  Run(Ask("abc"));
}

TEST_F(ModelTest, LargeTextsAreRefusedBeforeTheyAreTokenized) {
  int64_t num_calls = 0;
  auto fake = std::make_unique<FakeEngine>(FakeEngine::Options{});
  model_ = std::make_unique<ServedModel>(ModelOptions{}, std::move(fake),
                                         std::make_unique<CountingCodec>(num_calls));
  Refusal(Ask(std::string((size_t{1} << 20) + 1, 'x')));
  TextRequest request = Ask("x");
  request.bad_words = {"fine", std::string(1025, 'w')};
  EXPECT_EQ(Refusal(request),
            "parameter \"bad_words\" holds a string of 1025 bytes; each must have 1 to 1024");
  request.bad_words = {""};
  Refusal(request);
  request.bad_words.assign(129, "w");
  EXPECT_EQ(Refusal(request), "parameter \"bad_words\" has 129 entries; at most 128 are allowed");
  request.bad_words.clear();
  request.truncate = -5;
  EXPECT_EQ(Refusal(request), "parameter \"truncate\" is -5; it must be at least 1");
  EXPECT_EQ(num_calls, 0);
}

TEST_F(ModelTest, HugeCountsAreRefused) {
  Make();
  TextRequest request = Ask("x");
  for (const int64_t n : {int64_t{17}, int64_t{10'000'000}, int64_t{2147483647}, INT64_MAX}) {
    request.params.n = n;
    EXPECT_NE(Refusal(request).find("parameter \"n\""), std::string::npos) << n;
  }
  request.params.n = 1;
  request.max_new_tokens = INT64_MAX;
  EXPECT_NE(Refusal(request).find("max_new_tokens"), std::string::npos);
  request.max_new_tokens.reset();
  for (const int64_t max_length : {INT64_MIN, int64_t{-1}, int64_t{0}}) {
    request.max_length = max_length;
    EXPECT_NE(Refusal(request).find("max_length"), std::string::npos);
  }
  request.max_length = INT64_MAX;
  EXPECT_EQ(Run(request)->sequence().tokens.size(), 2U);
  EXPECT_EQ(engine_->num_submitted(), 1);
}

TEST_F(ModelTest, CancelAllEndsEveryRequestWithItsReason) {
  Make();
  engine_->Pause();
  std::vector<std::shared_ptr<Collector>> sinks;
  for (int i = 0; i < 3; ++i) {
    sinks.push_back(std::make_shared<Collector>());
    ASSERT_TRUE(model_->Submit(Ask("x"), sinks.back()).ok());
  }
  model_->BeginDrain();
  EXPECT_FALSE(model_->WaitUntilIdle(std::chrono::steady_clock::now() + milliseconds(5)));
  model_->CancelAll(ModelDraining{"m"});
  for (const auto& sink : sinks) {
    EXPECT_EQ(sink->WaitForEnd().message(), "model \"m\" is shutting down");
  }
  EXPECT_TRUE(model_->WaitUntilIdle(std::chrono::steady_clock::now() + std::chrono::seconds(60)));
}

TEST_F(ModelTest, SamplingGetsASeed) {
  Make();
  Run(Ask("x"));
  EXPECT_FALSE(engine_->last_request().params.seed.has_value());
  TextRequest request = Ask("x");
  request.params.do_sample = true;
  Run(request);
  EXPECT_TRUE(engine_->last_request().params.seed.has_value());
  request.params.seed = 7;
  Run(request);
  EXPECT_EQ(engine_->last_request().params.seed, 7U);
}

TEST_F(ModelTest, AFullQueueRefusesAndRecovers) {
  ModelOptions options;
  options.name = "m";
  options.job_queue_size = 2;
  options.pool.max_running = 1;
  Make({}, options);
  engine_->Pause();
  std::vector<std::shared_ptr<Collector>> sinks;
  for (int i = 0; i < 3; ++i) {
    sinks.push_back(std::make_shared<Collector>());
    ASSERT_TRUE(model_->Submit(Ask("x"), sinks.back()).ok());
  }
  EXPECT_EQ(Refusal(Ask("x"), StatusCode::kUnavailable),
            "model \"m\" has 3 requests, its limit; try again later");
  EXPECT_EQ(std::get<QueueFull>(model_->RefuseUnread().value()).max_requests, 3);
  EXPECT_EQ(model_->metrics().refused_queue_full, 2U);
  engine_->Resume();
  for (const auto& sink : sinks) EXPECT_TRUE(sink->WaitForEnd().ok());
  ASSERT_TRUE(WaitFor([&] { return model_->num_in_flight() == 0; }));
  EXPECT_FALSE(model_->RefuseUnread());
  Run(Ask("x"));
}

TEST_F(ModelTest, ARefusalOfTheEngineLeavesNoTrace) {
  FakeEngine::Options engine;
  engine.max_requests = 0;
  Make(engine);
  Refusal(Ask("x"), StatusCode::kUnavailable);
  EXPECT_EQ(model_->num_in_flight(), 0);
}

TEST_F(ModelTest, CancelEndsWithItsReason) {
  FakeEngine::Options engine;
  engine.step = std::chrono::microseconds(2000);
  engine.next_token = [](const auto&, int, int64_t) { return 'z'; };
  engine.max_context_tokens = 100'000;
  Make(engine);
  TextRequest request = Ask("x");
  request.max_new_tokens = 10'000;
  const auto sink = std::make_shared<Collector>();
  const auto generation = model_->Submit(request, sink);
  ASSERT_TRUE(generation.ok());
  ASSERT_TRUE(sink->WaitForTokens(2));
  (*generation)->Cancel(Status(StatusCode::kCancelled, "the client has gone"));
  EXPECT_EQ(sink->WaitForEnd().message(), "the client has gone");
  EXPECT_TRUE(WaitFor([&] { return model_->num_in_flight() == 0; }));
  EXPECT_TRUE((*generation)->over());
  (*generation)->Cancel(OkStatus());
}

TEST_F(ModelTest, ErrorsOfTheEngineReachTheSink) {
  FakeEngine::Options engine;
  engine.failure = Status(StatusCode::kInternal, "numbers went wrong");
  engine.failure_after = 2;
  Make(engine);
  const auto sink = std::make_shared<Collector>();
  ASSERT_TRUE(model_->Submit(Ask("abcdef"), sink).ok());
  EXPECT_EQ(sink->WaitForEnd().message(), "numbers went wrong");
  EXPECT_EQ(sink->sequence().text(), "ab");
}

TEST_F(ModelTest, WhatTakesTooLongIsCancelled) {
  ModelOptions options;
  options.predict_timeout = milliseconds(100);
  Make({}, options);
  engine_->Pause();
  const auto sink = std::make_shared<Collector>();
  ASSERT_TRUE(model_->Submit(Ask("x"), sink).ok());
  EXPECT_EQ(sink->WaitForEnd().code(), StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(WaitFor([&] { return engine_->num_live() == 0; }));
}

TEST_F(ModelTest, DrainRefusesButFinishes) {
  Make();
  engine_->Pause();
  const auto sink = std::make_shared<Collector>();
  ASSERT_TRUE(model_->Submit(Ask("x"), sink).ok());
  model_->BeginDrain();
  Refusal(Ask("x"), StatusCode::kUnavailable);
  engine_->Resume();
  EXPECT_TRUE(sink->WaitForEnd().ok());
}

TEST_F(ModelTest, TheModelMayGoWhileRequestsAreInFlight) {
  for (int round = 0; round < 50; ++round) {
    Make();
    engine_->Pause();
    const auto sink = std::make_shared<Collector>();
    const auto generation = model_->Submit(Ask("x"), sink);
    ASSERT_TRUE(generation.ok());
    std::thread canceller([&] { (*generation)->Cancel(Status(StatusCode::kCancelled, "x")); });
    model_.reset();
    canceller.join();
    EXPECT_EQ(sink->WaitForEnd().code(), StatusCode::kCancelled);
  }
}

}  // namespace
}  // namespace dray::serving
