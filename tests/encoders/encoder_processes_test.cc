// `dray serve` of an encoder whose ranks are processes: its vectors are those of one rank, also while ranks are
// killed, and it has one worker with all processors, however many are asked for.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/parse/json.h"
#include "base/testing/source_dir.h"
#include "testing/demo_process.h"
#include "testing/http_client.h"
#include "testing/process_state.h"

namespace dray::testing {
namespace {

class EncoderProcessesTest : public ::testing::Test {
 protected:
  void Start(const std::vector<std::string>& flags) {
    server_.emplace(flags, (SourceDir() / "tests/golden/sentences/mean").string());
  }

  std::vector<float> Embed(size_t i) const {
    const auto response =
        Post(server_->port(), "/invocations",
             R"({"inputs": "the cat sat on the mat number )" + std::to_string(i) + R"("})");
    EXPECT_TRUE(response && response->status == 200) << (response ? response->body : "");
    std::vector<float> vector;
    const auto json = Json::Parse(response ? response->body : "[]");
    EXPECT_TRUE(json.ok());
    for (const Json& x : *json->AsArray()) vector.push_back(static_cast<float>(*x.AsDouble()));
    return vector;
  }

  static void ExpectNear(const std::vector<float>& got, const std::vector<float>& expected) {
    ASSERT_EQ(got.size(), expected.size());
    for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], expected[i], 1e-5);
  }

  std::optional<DemoProcess> server_;
};

TEST_F(EncoderProcessesTest, VectorsAreThoseOfOneRankWhileRanksAreLost) {
  constexpr size_t kTexts = 4;
  Start({});
  std::vector<std::vector<float>> expected;
  for (size_t i = 0; i < kTexts; ++i) expected.push_back(Embed(i));
  ASSERT_EQ(expected[0].size(), 24U);
  server_.reset();
  Start({"--tensor-parallel-degree", "2", "--pipeline-parallel-degree", "2", "--rank-transport",
         "processes", "--threads", "4", "--oversubscribe", "true"});
  ASSERT_EQ(ChildrenOf(server_->pid()).size(), 4U);
  for (size_t round = 0; round < 4; ++round) {
    std::vector<std::thread> clients;
    for (size_t i = 0; i < kTexts; ++i) {
      clients.emplace_back([&, i] { ExpectNear(Embed(i), expected[i]); });
    }
    std::vector<pid_t> ranks;
    while ((ranks = ChildrenOf(server_->pid())).size() < 4) ::usleep(1000);
    ::kill(ranks[round], SIGKILL);
    for (std::thread& client : clients) client.join();
    // Until the rank's end is noticed, so that no request meets a second one.
    while (StateOf(ranks[round]).letter != '-') ::usleep(1000);
    ExpectNear(Embed(0), expected[0]);
  }
  const auto page = Get(server_->port(), "/metrics");
  ASSERT_TRUE(page.has_value());
  const size_t line = page->body.find("\ndray_restarts_total{");
  ASSERT_NE(line, std::string::npos);
  EXPECT_GE(std::stod(page->body.substr(page->body.find(' ', line))), 4);
  EXPECT_EQ(server_->Stop(), 0);
}

TEST_F(EncoderProcessesTest, ItsOneWorkerHasAllProcessors) {
  Start({"--rank-transport", "processes", "--max-workers", "3", "--threads", "3", "--oversubscribe",
         "true"});
  EXPECT_NE(server_->output().find("maxWorkers is 3, but an encoder has one worker"),
            std::string::npos)
      << server_->output();
  const auto ranks = ChildrenOf(server_->pid());
  ASSERT_EQ(ranks.size(), 1U);
  EXPECT_NE(server_->output().find("3 threads"), std::string::npos) << server_->output();
  EXPECT_EQ(Embed(0).size(), 24U);
}

}  // namespace
}  // namespace dray::testing
