// The load generator against dray's own server and against one that answers like others.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/parse/json.h"
#include "bench/load/load_bench.h"
#include "http/client/url.h"
#include "http/server.h"
#include "testing/demo_server.h"
#include "testing/process.h"

namespace dray::testing {
namespace {

using bench::Api;
using bench::Delivery;

bench::LoadOptions Options(uint16_t port, Api api) {
  bench::LoadOptions options;
  options.target.server.url = *http::ParseUrl("http://127.0.0.1:" + std::to_string(port));
  options.target.call = {.api = api, .new_tokens = 5};
  options.target.server.timeout_seconds = 20;
  options.prompts = {"Once upon a time", "One day"};
  options.clients = {1, 3};
  return options;
}

Json RowsOf(const Result<bench::Report>& report) {
  EXPECT_TRUE(report.ok()) << report.status().ToString();
  return report.ok() ? *Json::Parse(ToJson(*report))->Find("rows") : Json::MakeArray();
}

TEST(LoadGeneratorTest, DraysOwnServer) {
  DemoServer server({});
  for (const Delivery delivery : {Delivery::kStreamed, Delivery::kWhole}) {
    auto options = Options(server.port(), Api::kLmi);
    options.target.call.delivery = delivery;
    const Json rows = RowsOf(RunLoad(options));
    ASSERT_EQ(rows.AsArray()->size(), 2u);
    for (size_t i = 0; i < 2; ++i) {
      const Json& row = (*rows.AsArray())[i];
      const int64_t requests = i == 0 ? 4 : 12;
      EXPECT_EQ(row.Find("answered")->AsInt64(), requests);
      EXPECT_EQ(row.Find("errors")->AsInt64(), 0);
      EXPECT_EQ(row.Find("output_tokens")->AsInt64(), 5 * requests);
      const bool streamed = delivery == Delivery::kStreamed;
      EXPECT_EQ(row.Find("ttft_p50_s")->is_null(), !streamed);
      if (!streamed) continue;
      EXPECT_LE(row.Find("ttft_p50_s")->AsDouble(), row.Find("total_p50_s")->AsDouble());
    }
  }
}

TEST(LoadGeneratorTest, ArrivalsAtARate) {
  DemoServer server({});
  auto options = Options(server.port(), Api::kLmi);
  options.rates = {200};
  options.requests = 15;
  const Json rows = RowsOf(RunLoad(options));
  ASSERT_EQ(rows.AsArray()->size(), 1u);
  EXPECT_EQ(rows.AsArray()->front().Find("answered")->AsInt64(), 15);
  EXPECT_TRUE(rows.AsArray()->front().Find("clients")->is_null());
}

// Streams as OpenAI's servers do: `num_tokens` events at intervals, then the usage.
class CannedServer {
 public:
  explicit CannedServer(int fail_each = 0) : fail_each_(fail_each) {
    http::Router router;
    for (const char* path : {"/v1/completions", "/v1/chat/completions"}) {
      router.Add("POST", path, [this](http::Request request, http::ResponderPtr responder) {
        const std::lock_guard lock(mutex_);
        // Runs in a thread of its own, because what a handler writes is sent only after it returns.
        threads_.emplace_back(
            [this, request = std::move(request), responder] { Answer(request, responder); });
      });
    }
    http::ServerOptions options;
    options.num_threads = 4;
    server_ =
        std::move(http::Server::Start(options, {{.port = 0, .router = std::move(router)}})).value();
  }
  ~CannedServer() {
    for (std::thread& thread : threads_) thread.join();
    server_->Stop();
  }
  uint16_t port() const { return server_->port(); }
  int num_requests() const { return num_requests_; }

  static constexpr auto kGap = std::chrono::milliseconds(5);

 private:
  void Answer(const http::Request& request, const http::ResponderPtr& responder) {
    const int number = ++num_requests_;
    const Json body = *Json::Parse(request.body);
    if (fail_each_ > 0 && number % fail_each_ == 0) {
      http::Response refusal;
      refusal.head.status = 503;
      refusal.body = R"({"error": {"message": "the queue is full"}})";
      responder->Send(std::move(refusal));
      return;
    }
    responder->BeginStream({});
    const int64_t num_tokens = *body.Find("max_tokens")->AsInt64();
    const bool chat = body.Find("messages") != nullptr;
    for (int64_t i = 0; i < num_tokens; ++i) {
      std::this_thread::sleep_for(kGap);
      responder->Write(chat ? "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n"
                            : "data: {\"choices\":[{\"text\":\"x\"}]}\n\n");
    }
    responder->Write("data: {\"choices\":[],\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":" +
                     std::to_string(num_tokens) + "}}\n\ndata: [DONE]\n\n");
    responder->End();
  }

  int fail_each_;
  std::mutex mutex_;
  std::vector<std::thread> threads_;
  std::atomic<int> num_requests_{0};
  std::unique_ptr<http::Server> server_;
};

TEST(LoadGeneratorTest, TimesOfAnOpenAiServer) {
  for (const Api api : {Api::kOpenAi, Api::kOpenAiChat}) {
    CannedServer server;
    auto options = Options(server.port(), api);
    options.clients = {2};
    options.requests = 6;
    const Json rows = RowsOf(RunLoad(options));
    ASSERT_EQ(rows.AsArray()->size(), 1u);
    const Json& row = rows.AsArray()->front();
    EXPECT_EQ(row.Find("answered")->AsInt64(), 6);
    EXPECT_EQ(row.Find("output_tokens")->AsInt64(), 30);
    EXPECT_EQ(row.Find("prompt_tokens")->AsInt64(), 24);
    // The server waits before each token, so no time can be shorter than that. How much longer the
    // times are depends on the machine.
    const double gap = std::chrono::duration<double>(CannedServer::kGap).count();
    EXPECT_GE(*row.Find("ttft_p50_s")->AsDouble(), gap);
    EXPECT_GE(*row.Find("tpot_p50_ms")->AsDouble(), 1e3 * gap * 0.5);
    EXPECT_GE(*row.Find("total_p50_s")->AsDouble(), 5 * gap);
    EXPECT_EQ(server.num_requests(), 7);  // one of them is the warm-up
  }
}

TEST(LoadGeneratorTest, ErrorsAreCountedByKind) {
  CannedServer server(3);
  auto options = Options(server.port(), Api::kOpenAi);
  options.clients = {1};
  options.requests = 8;
  const auto report = RunLoad(options);
  const Json rows = RowsOf(report);
  // Of requests 2 to 9, the third, sixth and ninth request fail.
  EXPECT_EQ(rows.AsArray()->front().Find("answered")->AsInt64(), 5);
  EXPECT_EQ(rows.AsArray()->front().Find("errors")->AsInt64(), 3);
  EXPECT_EQ(report->notes.front(), "1 client: 3 times: HTTP 503: the queue is full");
}

TEST(LoadGeneratorTest, NobodyThere) {
  uint16_t port = 0;
  {
    CannedServer server;
    port = server.port();
  }
  const auto report = RunLoad(Options(port, Api::kOpenAi));
  EXPECT_EQ(report.status().code(), StatusCode::kUnavailable);
  EXPECT_NE(report.status().message().find("cannot connect"), std::string::npos)
      << report.status().message();
}

TEST(LoadGeneratorTest, TheWrongApi) {
  CannedServer server;
  const auto report = RunLoad(Options(server.port(), Api::kTgi));
  EXPECT_NE(report.status().message().find("HTTP 404"), std::string::npos)
      << report.status().message();
  EXPECT_NE(report.status().message().find("its API tgi"), std::string::npos);
}

TEST(LoadGeneratorTest, StopsWhenTold) {
  CannedServer server;
  auto options = Options(server.port(), Api::kOpenAi);
  options.requests = 1'000'000;
  options.warm_up = 0;
  options.stop = [&] { return server.num_requests() > 3; };
  const auto report = RunLoad(options);
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->completeness, bench::Report::Completeness::kInterrupted);
}

TEST(LoadGeneratorTest, TheCommand) {
  DemoServer server({});
  const std::string url = "http://127.0.0.1:" + std::to_string(server.port());
  const ProcessResult good =
      RunProcess({DRAY_PROGRAM, "bench", "demo", "--url", url, "--input", "8", "--output", "4",
                  "--clients", "1,2", "--requests", "3", "--json"});
  ASSERT_EQ(good.exit_code, 0) << good.errors;
  EXPECT_EQ(Json::Parse(good.output)->Find("rows")->AsArray()->size(), 2u);
  struct Case {
    std::vector<std::string> words;
    std::string message;
  };
  const Case cases[] = {
      {{"--url", "ftp://localhost"}, "is no address of a server"},
      {{"--url", url, "--insecure"}, "--ca and --insecure are for https"},
      {{"--url", "https://localhost", "--ca", "/no/such/file"}, "/no/such/file"},
      {{"--url", url, "--api", "grpc"}, "--api grpc: it must be one of openai"},
      {{"--url", url, "--clients", "0"}, "--clients: 0: it must be whole numbers from 1"},
      {{"--url", url, "--rate", "-1"}, "-1: it must be numbers above 0"},
      {{"--url", url, "--header", "nonsense"}, "header nonsense: it must be NAME: VALUE"},
      {{"--url", url, "--input", "1,2"}, "one number each"},
      {{"--url", url, "--prompts", "/no/such/file"}, "/no/such/file"},
      {{"--url", url, "--output", "100000"}, "HTTP 400"},
  };
  for (const Case& entry : cases) {
    std::vector<std::string> argv = {DRAY_PROGRAM, "bench"};
    argv.insert(argv.end(), entry.words.begin(), entry.words.end());
    const ProcessResult result = RunProcess(argv);
    EXPECT_NE(result.exit_code, 0);
    EXPECT_NE(result.errors.find(entry.message), std::string::npos) << result.errors;
  }
}

}  // namespace
}  // namespace dray::testing
