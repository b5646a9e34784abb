// `dray serve` with several workers, each a group of processes: they come and go by the management API, and
// one that loses a rank does not disturb the others.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "testing/demo_process.h"
#include "testing/http_client.h"
#include "testing/process_state.h"

namespace dray::testing {
namespace {

class ProcessWorkersTest : public ::testing::Test {
 protected:
  static std::vector<std::string> Flags() {
    return {"--tensor-parallel-degree",
            "2",
            "--rank-transport",
            "processes",
            "--min-workers",
            "2",
            "--max-workers",
            "2",
            "--oversubscribe",
            "true",
            "--threads",
            "4",
            "--max-model-len",
            "256",
            "--kv-cache-bytes",
            "8MiB"};
  }

  std::string Answer(size_t i) const {
    const auto response =
        Post(server_.port(), "/invocations",
             R"({"inputs": "Once upon a time there was number )" + std::to_string(i) +
                 R"(", "parameters": {"max_new_tokens": 60}})");
    EXPECT_TRUE(response && response->status == 200);
    return response ? response->body : "";
  }
  void ExpectAnswers() const {
    std::vector<std::thread> clients;
    for (size_t i = 0; i < expected_.size(); ++i) {
      clients.emplace_back([this, i] { EXPECT_EQ(Answer(i), expected_[i]); });
    }
    for (std::thread& client : clients) client.join();
  }
  void Scale(int workers) const {
    HttpClient client(server_.port());
    const std::string number = std::to_string(workers);
    client.Send("PUT /models/demo?min_worker=" + number + "&max_worker=" + number +
                " HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
    const auto response = client.ReadResponse(600'000);
    ASSERT_TRUE(response.has_value());
    EXPECT_EQ(response->status, 200) << response->body;
  }
  std::vector<pid_t> Ranks() const {
    auto ranks = ChildrenOf(server_.pid());
    std::sort(ranks.begin(), ranks.end());
    return ranks;
  }
  // Waits for the ends of workers that have nothing to do any more, or for new processes.
  std::vector<pid_t> AwaitRanks(size_t count) const {
    while (Ranks().size() != count) ::usleep(1000);
    return Ranks();
  }

  DemoProcess server_{Flags()};
  std::vector<std::string> expected_;
};

TEST_F(ProcessWorkersTest, ComeAndGoAndAreLostAlone) {
  for (size_t i = 0; i < 6; ++i) expected_.push_back(Answer(i));
  const auto before = AwaitRanks(4);
  ExpectAnswers();
  std::thread killer([&] { ::kill(before.front(), SIGKILL); });
  ExpectAnswers();
  killer.join();
  // The two ranks of one worker are new, and the others are those that were there.
  for (std::vector<pid_t> left, now; left.size() != 2U || now.size() != 4U; ::usleep(1000)) {
    now = Ranks();
    left.clear();
    std::set_intersection(before.begin(), before.end(), now.begin(), now.end(),
                          std::back_inserter(left));
  }
  ExpectAnswers();
  Scale(3);
  EXPECT_EQ(Ranks().size(), 6U);
  ExpectAnswers();
  Scale(1);
  AwaitRanks(2);
  ExpectAnswers();
  Scale(2);
  EXPECT_EQ(Ranks().size(), 4U);
  ExpectAnswers();
  EXPECT_EQ(server_.Stop(), 0) << server_.output();
}

}  // namespace
}  // namespace dray::testing
