// The dray program as users run it: commands, a server on a real port, an orderly shutdown.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <csignal>
#include <fstream>
#include <mutex>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "base/file.h"
#include "base/parse/json.h"
#include "testing/http_client.h"
#include "testing/process.h"

namespace dray::testing {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

const std::string kDray = DRAY_PROGRAM;

uint16_t PortOf(const std::string& ready_line) {
  uint16_t port = 0;
  const size_t colon = ready_line.rfind(':');
  std::from_chars(ready_line.data() + colon + 1, ready_line.data() + ready_line.size(), port);
  return port;
}

// A running server with the demo model; the port is 0 if it did not start.
struct Served {
  explicit Served(std::vector<std::string> flags = {}) : process(Arguments(std::move(flags))) {
    if (const auto line = process.ReadUntil("serving demo on ")) port = PortOf(*line);
    EXPECT_NE(port, 0) << process.output();
  }
  static std::vector<std::string> Arguments(std::vector<std::string> flags) {
    std::vector<std::string> argv = {kDray, "serve", "demo", "--port", "0"};
    argv.insert(argv.end(), flags.begin(), flags.end());
    return argv;
  }
  Process process;
  uint16_t port = 0;
};

TEST(ServeTest, AnswersPingAndGenerates) {
  Served served;
  const auto ping = Get(served.port, "/ping");
  ASSERT_TRUE(ping);
  EXPECT_EQ(ping->status, 200);
  EXPECT_EQ(*Json::Parse(ping->body)->Find("demo")->Find("status")->AsString(), "Healthy");

  const auto whole =
      Post(served.port, "/invocations",
           R"({"inputs": "One day", "parameters": {"max_new_tokens": 12, "details": true}})");
  ASSERT_TRUE(whole);
  EXPECT_EQ(whole->status, 200);
  const Json json = *Json::Parse(whole->body);
  std::string joined;
  for (const Json& token : *json.Find("details")->Find("tokens")->AsArray())
    joined += *token.Find("text")->AsString();
  EXPECT_EQ(joined, *json.Find("generated_text")->AsString());
  EXPECT_EQ(json.Find("details")->Find("generated_tokens")->AsInt64(), 12);

  const auto stream =
      Post(served.port, "/predictions/demo",
           R"({"inputs": "One day", "parameters": {"max_new_tokens": 12}, "stream": true})");
  ASSERT_TRUE(stream);
  std::string streamed;
  std::string_view lines = stream->body;
  while (!lines.empty()) {
    const size_t end = lines.find('\n');
    streamed += *Json::Parse(lines.substr(0, end))->Find("token")->Find("text")->AsString();
    lines.remove_prefix(end + 1);
  }
  EXPECT_EQ(streamed, joined);
  served.process.Signal(SIGTERM);
  EXPECT_EQ(served.process.Wait(), 0);
}

TEST(ServeTest, GenerateAndServeAgreeWithEachOther) {
  const auto result = RunProcess({kDray, "generate", "demo", "-p", "One day", "-n", "20"});
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  Served served;
  const auto response = Post(served.port, "/invocations",
                             R"({"inputs": "One day", "parameters": {"max_new_tokens": 20}})");
  ASSERT_TRUE(response);
  EXPECT_EQ(*Json::Parse(response->body)->Find("generated_text")->AsString() + "\n", result.output);
}

TEST(ServeTest, EnvironmentAndFlagsReachTheModel) {
  const auto refused = RunProcess({kDray, "generate", "demo", "-p", "One", "--dtype", "fp99"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_NE(refused.errors.find("fp99"), std::string::npos);
  const auto small = RunProcess(
      {kDray, "generate", "demo", "-p", "One day", "-n", "500", "--max-model-len", "100"});
  EXPECT_EQ(small.exit_code, 1);
  EXPECT_NE(small.errors.find("100"), std::string::npos) << small.errors;
  const auto absent = RunProcess({kDray, "serve", "/no/such/folder"});
  EXPECT_EQ(absent.exit_code, 1);
  EXPECT_NE(absent.errors.find("/no/such/folder"), std::string::npos);
}

TEST(ServeTest, EveryNumberFormatTellsAStory) {
  for (const char* dtype : {"fp32", "bf16", "fp16", "int8", "int4"}) {
    const auto result = RunProcess(
        {kDray, "generate", "demo", "-p", "Once upon a time", "-n", "3", "--dtype", dtype});
    EXPECT_EQ(result.exit_code, 0) << result.errors;
    // The continuation of these words is practically certain in every format.
    EXPECT_EQ(result.output, " there was a\n") << dtype;
  }
}

TEST(ServeTest, InspectAndTokenizeShowTheModel) {
  const auto inspect = RunProcess({kDray, "inspect", "demo"});
  EXPECT_EQ(inspect.exit_code, 0) << inspect.errors;
  EXPECT_NE(inspect.output.find("family        llama"), std::string::npos) << inspect.output;
  EXPECT_NE(inspect.output.find("model.embed_tokens.weight"), std::string::npos);
  const auto ids = RunProcess({kDray, "tokenize", "demo", "--jsonl"}, "\"One day\"\n\"a\\nb\"\n");
  EXPECT_EQ(ids.exit_code, 0) << ids.errors;
  const auto text = RunProcess(
      {kDray, "tokenize", "demo", "--jsonl", "--decode", "--skip-special-tokens"}, ids.output);
  EXPECT_EQ(text.output, "\"One day\"\n\"a\\nb\"\n");
}

// A request of a client that keeps sending: when it was sent, and the answer.
struct Exchange {
  Clock::time_point sent;
  bool answered = false;
  int status = 0;
  int64_t tokens = 0;
};

// Sends requests, each on a new connection, until the server is gone.
std::vector<Exchange> KeepAsking(uint16_t port, std::atomic<bool>& stop, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<Exchange> exchanges;
  while (!stop) {
    HttpClient client(port);
    if (!client.connected()) return exchanges;
    const int64_t tokens = 1 + random() % 40;
    const bool stream = random() % 2 == 0;
    Exchange exchange;
    client.SendPost("/invocations",
                    R"({"inputs": "Once upon a time", "parameters": {"ignore_eos_token": true, )"
                    R"("details": true, "max_new_tokens": )" +
                        std::to_string(tokens) + R"(}, "stream": )" +
                        (stream ? "true}" : "false}"));
    exchange.sent = Clock::now();
    if (const auto response = client.ReadResponse()) {
      exchange.answered = true;
      exchange.status = response->status;
      const auto count =
          static_cast<int64_t>(std::count(response->body.begin(), response->body.end(), '\n'));
      exchange.tokens = !stream || count == tokens ? tokens : count;
    }
    exchanges.push_back(exchange);
  }
  return exchanges;
}

// The clock ticks (usually hundredths of a second) of processor time that a process has used.
int64_t UsedTicks(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string stat;
  std::getline(file, stat);
  EXPECT_NE(stat, "");
  // Fields are counted after the name in parentheses: the state is field 3, user and system time
  // are 14 and 15.
  std::istringstream fields(stat.substr(stat.rfind(')') + 2));
  std::string skipped;
  for (int field = 3; field < 14; ++field) fields >> skipped;
  int64_t user = 0, system = 0;
  fields >> user >> system;
  return user + system;
}

TEST(ServeTest, UsesNoProcessorTimeWhileThereIsNothingToDo) {
  Served served;
  ASSERT_NE(served.port, 0);
  const auto answer = Post(served.port, "/invocations",
                           R"({"inputs": "One day", "parameters": {"max_new_tokens": 20}})");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200);
  std::this_thread::sleep_for(milliseconds(100));  // threads spin for a moment before they sleep
  const int64_t before = UsedTicks(served.process.pid());
  std::this_thread::sleep_for(milliseconds(1500));
  // Some ticks for a thread that a busy machine kept from falling asleep. A single spinning thread would
  // use 150 ticks.
  EXPECT_LE(UsedTicks(served.process.pid()), before + 10);
}

TEST(ServeTest, FiftySigtermsUnderLoadLoseNoAcceptedRequest) {
  std::mt19937 random(7);
  int in_flight = 0;
  for (int round = 0; round < 50; ++round) {
    Served served({"--max-rolling-batch-size", "4"});
    ASSERT_NE(served.port, 0);
    std::atomic<bool> stop{false};
    std::mutex mutex;
    std::vector<Exchange> all;
    std::vector<std::thread> clients;
    for (unsigned i = 0; i < 4; ++i) {
      clients.emplace_back([&, i] {
        auto mine = KeepAsking(served.port, stop, 100u * static_cast<unsigned>(round) + i);
        const std::lock_guard lock(mutex);
        all.insert(all.end(), mine.begin(), mine.end());
      });
    }
    std::this_thread::sleep_for(milliseconds(150 + random() % 100));
    const auto signalled = Clock::now();
    served.process.Signal(SIGTERM);
    EXPECT_EQ(served.process.Wait(), 0) << served.process.output();
    stop = true;
    for (std::thread& client : clients) client.join();
    for (const Exchange& exchange : all) {
      // What was sent well before the signal has been read by the server. Later requests may find it
      // closed.
      if (exchange.sent > signalled - milliseconds(50)) continue;
      EXPECT_TRUE(exchange.answered && exchange.status == 200)
          << "round " << round << ", status " << exchange.status;
      ++in_flight;
    }
  }
  EXPECT_GT(in_flight, 200);
}

}  // namespace
}  // namespace dray::testing
