// Workers that share a draft model, on a real server.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "testing/managed_server.h"

namespace dray::testing {
namespace {

namespace fs = std::filesystem;

TEST(DraftWorkersTest, AllWorkersGuessWithTheSameDraftModel) {
  ManagedServer server;
  const fs::path model = server.folder() / "model";
  fs::copy(ManagedServer::DemoModel(), model);
  std::ofstream(model / "serving.properties")
      << "option.speculative_method=draft_model\n"
      << "option.speculative_draft_model=" << ManagedServer::DemoModel() << "\n"
      << "option.max_rolling_batch_size=1\n"
      << "minWorkers=2\nmaxWorkers=2\n";
  const auto register_model = [&](const std::string& url, const std::string& name) {
    const auto response = server.Send("POST", "/models?url=" + url + "&model_name=" + name);
    ASSERT_EQ(response.status, 200) << response.body;
  };
  register_model(ManagedServer::DemoModel(), "plain");
  register_model(model.string(), "drafted");
  const auto ask = [&](const std::string& name) {
    return server
        .Send("POST", "/predictions/" + name,
              R"({"inputs": "One day", "parameters": {"max_new_tokens": 20}})",
              "Content-Type: application/json\r\n")
        .body;
  };
  const std::string expected = ask("plain");
  EXPECT_NE(expected.find("generated_text"), std::string::npos) << expected;
  for (int round = 0; round < 2; ++round) {
    std::vector<std::thread> clients;
    for (int i = 0; i < 6; ++i) {
      clients.emplace_back([&] { EXPECT_EQ(ask("drafted"), expected); });
    }
    for (std::thread& client : clients) client.join();
    // Another worker at run time, which shares the draft model, too.
    if (round == 0) {
      EXPECT_EQ(server.Send("PUT", "/models/drafted?min_worker=3&max_worker=3").status, 200);
    }
  }
  const auto drafted = server.repository().Versions("drafted", "")[0].model;
  EXPECT_EQ(drafted->workers().workers.size(), 3U);
}

}  // namespace
}  // namespace dray::testing
