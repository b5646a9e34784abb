// AWS's own clients, boto3 and the AWS CLI, where they are installed (tools/packages_judges.txt): they call the
// runtime API of a running server, and find everything where they look for it.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/parse/json.h"
#include "base/testing/source_dir.h"
#include "testing/demo_process.h"
#include "testing/process.h"

namespace dray::testing {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPython = "/usr/bin/python3";
constexpr const char* kBoto3 = "/usr/lib/python3/dist-packages/boto3";
constexpr const char* kAws = "/usr/bin/aws";

ProcessResult RunBoto3(const DemoProcess& server, const std::string& key = "") {
  std::vector<std::string> command = {kPython,
                                      (SourceDir() / "tests/clients/boto3_runtime.py").string(),
                                      std::to_string(server.port())};
  if (!key.empty()) command.push_back(key);
  return RunProcess(command);
}

TEST(AwsClientsTest, Boto3InvokesAnEndpoint) {
  if (!fs::exists(kBoto3)) GTEST_SKIP() << kBoto3 << " is not installed";
  DemoProcess server({});
  const ProcessResult result = RunBoto3(server);
  EXPECT_EQ(result.exit_code, 0) << result.output << result.errors;
  EXPECT_TRUE(result.output.ends_with("ok\n")) << result.output;
  EXPECT_EQ(server.Stop(), 0);
}

TEST(AwsClientsTest, Boto3ShowsAKeyInAHeader) {
  if (!fs::exists(kBoto3)) GTEST_SKIP() << kBoto3 << " is not installed";
  const fs::path keys = fs::path(::testing::TempDir()) / fmt::format("keys_{}", ::getpid());
  std::ofstream(keys) << "secret-key\n";
  DemoProcess server({"--api-key-file", keys.string()});
  fs::remove(keys);
  const ProcessResult result = RunBoto3(server, "secret-key");
  EXPECT_EQ(result.exit_code, 0) << result.output << result.errors;
  EXPECT_EQ(server.Stop(), 0);
}

class AwsCommandTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!fs::exists(kAws)) GTEST_SKIP() << kAws << " is not installed";
  }
  void TearDown() override { fs::remove(answer_); }

  ProcessResult Invoke(const DemoProcess& server, const std::string& body) const {
    return RunProcess({"/usr/bin/env",
                       "AWS_ACCESS_KEY_ID=local",
                       "AWS_SECRET_ACCESS_KEY=local",
                       "AWS_DEFAULT_REGION=us-east-1",

                       kAws,
                       "sagemaker-runtime",
                       "invoke-endpoint",
                       "--endpoint-url",
                       fmt::format("http://127.0.0.1:{}", server.port()),
                       "--endpoint-name",
                       "demo",
                       "--content-type",
                       "application/json",
                       "--cli-binary-format",
                       "raw-in-base64-out",
                       "--body",
                       body,
                       "--output",
                       "json",
                       answer_.string()});
  }

  const fs::path answer_ = fs::path(::testing::TempDir()) / fmt::format("answer_{}", ::getpid());
};

TEST_F(AwsCommandTest, InvokesAnEndpoint) {
  DemoProcess server({});
  const ProcessResult result = Invoke(
      server,
      R"({"inputs": "The cat", "parameters": {"max_new_tokens": 5, "ignore_eos_token": true}})");
  ASSERT_EQ(result.exit_code, 0) << result.errors;
  const auto metadata = Json::Parse(result.output);
  ASSERT_TRUE(metadata.ok()) << result.output;
  EXPECT_EQ(*metadata->Find("ContentType")->AsString(), "application/json");
  EXPECT_EQ(*metadata->Find("InvokedProductionVariant")->AsString(), "AllTraffic");
  const auto answer = ReadFile(answer_, 1 << 20);
  ASSERT_TRUE(answer.ok());
  EXPECT_TRUE(answer->starts_with("{\"generated_text\":\"")) << *answer;

  const ProcessResult refused = Invoke(server, R"({"input": "The cat"})");
  EXPECT_NE(refused.exit_code, 0);
  EXPECT_NE(refused.errors.find("An error occurred (ModelError) when calling the InvokeEndpoint "
                                "operation: Received client error (400) from primary"),
            std::string::npos)
      << refused.errors;
  EXPECT_EQ(server.Stop(), 0);
}

}  // namespace
}  // namespace dray::testing
