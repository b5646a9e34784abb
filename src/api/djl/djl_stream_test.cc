// Streams, and clients that leave, over real sockets.
#include <atomic>
#include <random>
#include <span>
#include <vector>

#include "api/testing/djl_fixture.h"

namespace dray::api {
namespace {

using http::PostRequest;
using http::TestClient;
using http::TestResponse;
using serving::FakeEngine;
using std::chrono::milliseconds;

using DjlStreamTest = DjlTest;

TEST_F(DjlStreamTest, StreamsLines) {
  Start();
  TestResponse response = Invoke(R"({"inputs": "abc", "stream": true})");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.Header("Content-Type"), "application/jsonlines");
  EXPECT_EQ(response.Header("Transfer-Encoding"), "chunked");
  EXPECT_TRUE(response.complete);
  EXPECT_EQ(response.body,
            "{\"token\":{\"id\":97,\"text\":\"a\",\"log_prob\":-0.097}}\n"
            "{\"token\":{\"id\":98,\"text\":\"b\",\"log_prob\":-0.098}}\n"
            "{\"token\":{\"id\":99,\"text\":\"c\",\"log_prob\":-0.099}}\n"
            "{\"token\":{\"id\":256,\"text\":\"\",\"log_prob\":-0.256,\"special_token\":true},"
            "\"generated_text\":\"abc\"}\n");
  response = Invoke(
      R"({"inputs": "abc", "stream": true, "parameters": {"max_new_tokens": 1, "details": true}})");
  EXPECT_EQ(response.body,
            "{\"token\":{\"id\":97,\"text\":\"a\",\"log_prob\":-0.097},\"generated_text\":\"a\","
            "\"details\":{\"finish_reason\":\"length\",\"generated_tokens\":1,\"inputs\":\"abc\"}}"
            "\n");
}

TEST_F(DjlStreamTest, StreamsServerSentEvents) {
  serving::ModelOptions options;
  options.output_format = settings::OutputFormat::kServerSentEvents;
  Start({}, options);
  const TestResponse response = Invoke(R"({"inputs": "a", "parameters": {"max_new_tokens": 1}})");
  EXPECT_EQ(response.Header("Content-Type"), "text/event-stream");
  EXPECT_EQ(response.body,
            "data: {\"token\":{\"id\":97,\"text\":\"a\",\"log_prob\":-0.097},"
            "\"generated_text\":\"a\"}\n\n");
  // What the request says goes over it.
  EXPECT_EQ(Invoke(R"({"inputs": "a", "parameters": {"output_formatter": "json"}})").body,
            R"({"generated_text":"a"})");
}

TEST_F(DjlStreamTest, StreamsByDefaultWhereToldTo) {
  serving::ModelOptions options;
  options.stream_by_default = true;
  Start({}, options);
  EXPECT_EQ(Invoke(R"({"inputs": "a"})").Header("Content-Type"), "application/jsonlines");
  EXPECT_EQ(Invoke(R"({"inputs": "a", "stream": false})").Header("Content-Type"),
            "application/json");
}

TEST_F(DjlStreamTest, TheTextsOfAStreamAreItsText) {
  Start();
  const std::string input = "a\\u00e9 \\ud83d\\ude00 stop here st";
  const TestResponse response = Invoke(fmt::format(
      R"({{"inputs": "{}", "stream": true, "parameters": {{"stop": ["stop it"]}}}})", input));
  std::string joined;
  std::string last;
  std::string_view rest = response.body;
  while (!rest.empty()) {
    const size_t end = rest.find('\n');
    const auto line = Json::Parse(rest.substr(0, end));
    ASSERT_TRUE(line.ok());
    joined += *line->Find("token")->Find("text")->AsString();
    if (const Json* text = line->Find("generated_text")) last = *text->AsString();
    rest.remove_prefix(end + 1);
  }
  EXPECT_EQ(joined, "a\xC3\xA9 \xF0\x9F\x98\x80 stop here st");
  EXPECT_EQ(last, joined);
}

TEST_F(DjlStreamTest, StreamsHaveOneSequence) {
  Start();
  EXPECT_EQ(Invoke(R"({"inputs": "a", "stream": true, "parameters": {"n": 2}})").status, 400);
  EXPECT_EQ(Invoke(R"({"inputs": ["a"], "stream": true})").Header("Content-Type"),
            "application/jsonlines");
  // As DJLServing's handler of batches, which does not stream.
  const TestResponse several = Invoke(R"({"inputs": ["a", "b"], "stream": true})");
  EXPECT_EQ(several.Header("Content-Type"), "application/json");
  EXPECT_EQ(several.body, R"([{"generated_text":"a"},{"generated_text":"b"}])");
  EXPECT_EQ(
      Invoke(R"({"inputs": ["a", "b"], "parameters": {"output_formatter": "jsonlines"}})").status,
      400);
}

TEST_F(DjlStreamTest, AnErrorBeforeTheFirstTokenHasAStatus) {
  FakeEngine::Options engine;
  engine.failure = Status(StatusCode::kInternal, "numbers went wrong");
  Start(engine);
  const std::string body = ErrorBody(500, "InternalServerException", "numbers went wrong");
  EXPECT_EQ(Invoke(R"({"inputs": "abc"})").body, body);
  const TestResponse response = Invoke(R"({"inputs": "abc", "stream": true})");
  EXPECT_EQ(response.status, 500);
  EXPECT_EQ(response.body, body);
}

TEST_F(DjlStreamTest, AnErrorInAStreamIsItsLastLine) {
  FakeEngine::Options engine;
  engine.failure = Status(StatusCode::kInternal, "numbers went wrong");
  engine.failure_after = 1;
  Start(engine);
  const TestResponse response = Invoke(R"({"inputs": "abc", "stream": true})");
  EXPECT_EQ(response.status, 200);
  EXPECT_TRUE(response.complete);
  EXPECT_EQ(response.body,
            "{\"token\":{\"id\":97,\"text\":\"a\",\"log_prob\":-0.097}}\n"
            "{\"token\":{\"id\":-1,\"text\":\"\",\"log_prob\":-1,\"special_token\":true,"
            "\"error_msg\":\"numbers went wrong\"},\"generated_text\":\"a\","
            "\"details\":{\"finish_reason\":\"error\"},\"code\":500,"
            "\"error\":\"numbers went wrong\"}\n");
  EXPECT_EQ(Invoke(R"({"inputs": "abc"})").status, 500);
}

// A text counts against the memory of requests until its answer is whole, not only until it is parsed.
TEST_F(DjlStreamTest, TheTextOfARequestThatIsComputedKeepsItsRoom) {
  FakeEngine::Options engine;
  engine.next_token = [](const auto&, int, int64_t) { return 'z'; };
  engine.max_context_tokens = 1'000'000;
  engine.step = std::chrono::microseconds(1000);
  http_.max_total_body_bytes = 50'000;
  Start(engine);
  const std::string text(30'000, 'a');
  const auto body = [&](int max_new_tokens) {
    return fmt::format(R"({{"inputs": "{}", "parameters": {{"max_new_tokens": {}}}}})", text,
                       max_new_tokens);
  };
  TestClient client(server_->port());
  client.Send(PostRequest("/invocations", body(900'000)));
  ASSERT_TRUE(WaitFor([&] { return engine_->num_live() == 1; }));
  EXPECT_EQ(Invoke(body(1)).status, 503);
  EXPECT_EQ(Invoke(R"({"inputs": "short", "parameters": {"max_new_tokens": 1}})").status, 200);
  client.Close();
  EXPECT_TRUE(WaitFor([&] { return Invoke(body(1)).status == 200; }));
}

// Tokenizes for as long as somebody waits for the ids.
class EndlessCodec final : public serving::TextCodec {
 public:
  struct Counts {
    std::atomic<int> begun{0};
    std::atomic<int> cancelled{0};
  };
  explicit EndlessCodec(Counts& counts) : counts_(counts) {}
  Result<std::vector<int32_t>> EncodePrompt(
      std::string_view, const serving::CancelCheck& is_cancelled) const override {
    ++counts_.begun;
    for (int i = 0; i < 10'000 && !is_cancelled(); ++i) {
      std::this_thread::sleep_for(milliseconds(2));
    }
    if (is_cancelled()) ++counts_.cancelled;
    return Status(StatusCode::kCancelled, "not wanted");
  }
  Result<std::vector<int32_t>> EncodePlain(std::string_view text) const override {
    return bytes_.EncodePlain(text);
  }
  std::string TokenText(int32_t id) const override { return bytes_.TokenText(id); }
  bool IsSpecial(int32_t id) const override { return bytes_.IsSpecial(id); }
  std::unique_ptr<serving::TextStream> NewStream(serving::SpecialTokens special_tokens,
                                                 std::span<const int32_t> prompt) const override {
    return bytes_.NewStream(special_tokens, prompt);
  }
  size_t max_token_bytes() const override { return 1; }

 private:
  Counts& counts_;
  const serving::ByteCodec bytes_;
};

TEST_F(DjlStreamTest, TokenizingEndsWhenTheClientLeavesOrTheServerEnds) {
  EndlessCodec::Counts counts;
  ASSERT_TRUE(models_.AddPending("m", "", serving::ModelOrigin::kStartUp).ok());
  serving::ModelOptions options;
  options.name = "m";
  models_.SetReady(std::make_shared<serving::ServedModel>(
      options, std::make_unique<FakeEngine>(FakeEngine::Options{}),
      std::make_unique<EndlessCodec>(counts)));
  Serve();
  // A body of up to 1 KiB is read and tokenized on the server's own thread, which sees no client leave meanwhile.
  const std::string padding(1024, ' ');
  for (const char* body :
       {R"({"inputs": "a"})", R"({"inputs": ["a", "b"]})", R"({"inputs": "a", "stream": true})"}) {
    const int before = counts.cancelled;
    TestClient client(server_->port());
    client.Send(PostRequest("/invocations", body + padding));
    ASSERT_TRUE(WaitFor([&] { return counts.begun == before + 1; }));
    client.Close();
    EXPECT_TRUE(WaitFor([&] { return counts.cancelled == before + 1; })) << body;
  }
  TestClient client(server_->port());
  client.Send(PostRequest("/invocations", R"({"inputs": "a"})" + padding));
  ASSERT_TRUE(WaitFor([&] { return counts.begun == 4; }));
  server_->Stop();
  EXPECT_TRUE(WaitFor([&] { return counts.cancelled == 4; }));
}

TEST_F(DjlStreamTest, AClientThatLeavesCancelsItsRequest) {
  FakeEngine::Options engine;
  engine.next_token = [](const auto&, int, int64_t) { return 'z'; };
  engine.max_context_tokens = 1'000'000;
  engine.step = std::chrono::microseconds(1000);
  Start(engine);
  for (const char* stream : {"true", "false"}) {
    const int64_t before = engine_->num_cancelled();
    TestClient client(server_->port());
    client.Send(PostRequest(
        "/invocations",
        fmt::format(
            R"({{"inputs": ["a"], "stream": {}, "parameters": {{"max_new_tokens": 900000}}}})",
            stream)));
    ASSERT_TRUE(WaitFor([&] { return engine_->num_live() == 1; }));
    std::this_thread::sleep_for(milliseconds(20));
    const auto start = std::chrono::steady_clock::now();
    client.Close();
    EXPECT_TRUE(WaitFor([&] { return engine_->num_cancelled() == before + 1; })) << stream;
    EXPECT_LT(std::chrono::steady_clock::now() - start, milliseconds(1000));
    EXPECT_TRUE(WaitFor([&] { return model_->num_in_flight() == 0; }));
  }
}

TEST_F(DjlStreamTest, AThousandRandomDisconnectsLeaveNoRequestBehind) {
  FakeEngine::Options engine;
  engine.max_context_tokens = 200;
  Start(engine);
  const auto leave = [&](unsigned seed) {
    std::mt19937 random(seed);
    for (int i = 0; i < 250; ++i) {
      const std::string request = PostRequest(
          "/invocations",
          fmt::format(R"({{"inputs": "{}", "stream": {}, "parameters": {{"max_new_tokens": 60}}}})",
                      std::string(90, 'q'), random() % 2 == 0));
      TestClient client(server_->port());
      const size_t sent = random() % 4 == 0 ? random() % request.size() : request.size();
      client.Send(std::string_view(request).substr(0, sent));
      if (random() % 2 == 0) std::this_thread::sleep_for(milliseconds(random() % 20));
      if (random() % 4 == 0) client.Receive(milliseconds(random() % 60));
      random() % 2 == 0 ? client.Close() : client.Reset();
    }
  };
  std::vector<std::thread> threads;
  for (unsigned seed = 0; seed < 4; ++seed) threads.emplace_back(leave, seed);
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(WaitFor([&] {
    return engine_->num_live() == 0 && model_->num_in_flight() == 0 &&
           server_->stats().connections == 0;
  }));
  EXPECT_EQ(server_->stats().requests_in_flight, 0);
  EXPECT_EQ(server_->stats().handler_exceptions, 0U);
  EXPECT_GT(engine_->num_cancelled(), 100);
  EXPECT_EQ(Invoke(R"({"inputs": "alive"})").body, R"({"generated_text":"alive"})");
}

TEST_F(DjlStreamTest, ManyClientsAtOnce) {
  Start();
  std::vector<std::thread> threads;
  std::atomic<int> good{0};
  threads.reserve(8);
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      TestClient client(server_->port());
      for (int i = 0; i < 50; ++i) {
        const std::string text = fmt::format("{} {}", t, i);
        client.Send(PostRequest("/invocations", fmt::format(R"({{"inputs": "{}"}})", text)));
        good += client.Receive().body == fmt::format(R"({{"generated_text":"{}"}})", text) ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 400);
}

}  // namespace
}  // namespace dray::api
