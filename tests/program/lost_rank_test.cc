// `dray serve` with ranks in processes, of which some are killed or stopped: open streams go on, and
// /ping and the metrics tell what happens.
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "testing/demo_process.h"
#include "testing/http_client.h"

namespace dray::testing {
namespace {

std::vector<pid_t> ChildrenOf(pid_t process) {
  std::vector<pid_t> children;
  std::error_code error;
  const std::string tasks = "/proc/" + std::to_string(process) + "/task";
  for (const auto& task : std::filesystem::directory_iterator(tasks, error)) {
    std::ifstream file(task.path() / "children");
    for (pid_t child; file >> child;) children.push_back(child);
  }
  return children;
}

class LostRankTest : public ::testing::Test {
 protected:
  static constexpr size_t kNumRequests = 4;

  // Two stages of two ranks.
  void Start(const std::vector<std::string>& more = {}) {
    std::vector<std::string> flags = {"--tensor-parallel-degree",
                                      "2",
                                      "--pipeline-parallel-degree",
                                      "2",
                                      "--rank-transport",
                                      "processes",
                                      "--rank-timeout",
                                      "5",
                                      "--threads",
                                      "4",
                                      "--oversubscribe",
                                      "true",
                                      "--max-model-len",
                                      "256"};
    flags.insert(flags.end(), more.begin(), more.end());
    server_.emplace(flags);
    for (size_t i = 0; i < kNumRequests; ++i) expected_.push_back(Answer(Ask(i)));
  }

  HttpClient Ask(size_t i) {
    HttpClient client(server_->port());
    const std::string sampling =
        i % 2 == 0 ? R"("do_sample": false)" : R"("do_sample": true, "seed": )" + std::to_string(i);
    EXPECT_TRUE(client.SendPost(
        "/invocations", R"({"inputs": "Once upon a time there was number )" + std::to_string(i) +
                            R"(", "stream": true, "parameters": {"max_new_tokens": 100, )" +
                            sampling + "}}"));
    return client;
  }

  static std::string Answer(HttpClient client) {
    const auto response = client.ReadResponse();
    EXPECT_TRUE(response && response->status == 200);
    return response ? response->body : "";
  }

  // Sends `signal` to a rank.
  void Hit(size_t rank, int signal) {
    std::vector<pid_t> ranks;
    // They may be on their way back from the last time.
    while ((ranks = ChildrenOf(server_->pid())).size() < 4) std::this_thread::yield();
    ::kill(ranks[rank % ranks.size()], signal);
  }

  // Returns the value of a metric of the model.
  double Metric(const std::string& name) {
    const auto page = Get(server_->port(), "/metrics");
    EXPECT_TRUE(page.has_value());
    const size_t line = page ? page->body.find("\n" + name + "{") : std::string::npos;
    EXPECT_NE(line, std::string::npos) << name;
    return line == std::string::npos ? 0 : std::stod(page->body.substr(page->body.find(' ', line)));
  }

  std::optional<DemoProcess> server_;
  std::vector<std::string> expected_;
};

TEST_F(LostRankTest, StreamsGoOnWhereTheyStopped) {
  Start();
  for (size_t round = 0; round < 5; ++round) {
    std::vector<HttpClient> clients;
    for (size_t i = 0; i < kNumRequests; ++i) clients.push_back(Ask(i));
    Hit(round, round == 4 ? SIGSTOP : SIGKILL);
    for (size_t i = 0; i < kNumRequests; ++i) {
      EXPECT_EQ(Answer(std::move(clients[i])), expected_[i]) << "round " << round;
    }
  }
  EXPECT_GE(Metric("dray_restarts_total"), 1);
  EXPECT_GT(Metric("dray_restart_seconds_total"), 0);
}

TEST_F(LostRankTest, AnIdleModelGetsNewRanks) {
  Start();
  Hit(1, SIGKILL);
  while (Metric("dray_restarts_total") < 1) std::this_thread::yield();
  while (Metric("dray_restarting_workers") > 0) {
    const auto ping = Get(server_->port(), "/ping");
    ASSERT_TRUE(ping.has_value());
    EXPECT_EQ(ping->status, 200);
  }
  const auto ping = Get(server_->port(), "/ping");
  ASSERT_TRUE(ping.has_value());
  EXPECT_NE(ping->body.find("\"Healthy\""), std::string::npos) << ping->body;
  EXPECT_EQ(Answer(Ask(0)), expected_[0]);
  EXPECT_EQ(Metric("dray_restarts_total"), 1);
}

TEST_F(LostRankTest, AModelThatHasFailedEndsTheServerIfItIsTold) {
  Start({"--max-restarts-per-hour", "0", "--fail-fast", "true"});
  Hit(2, SIGKILL);
  EXPECT_EQ(server_->Wait(), 137) << server_->output();
  EXPECT_NE(server_->output().find("demo: its workers have failed; fail_fast ends the server"),
            std::string::npos)
      << server_->output();
}

}  // namespace
}  // namespace dray::testing
