// `dray partition` and what is served from it, as programs: answers, signals, files that change.
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "testing/http_client.h"
#include "testing/large_model.h"
#include "testing/process.h"

namespace dray::testing {
namespace {

namespace fs = std::filesystem;

class PartitionTest : public ::testing::Test {
 protected:
  PartitionTest() {
    std::string pattern = ::testing::TempDir() + "partition_XXXXXX";
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
  }
  ~PartitionTest() override { fs::remove_all(dir_); }

  static ProcessResult Run(std::vector<std::string> argv) {
    argv.insert(argv.begin(), DRAY_PROGRAM);
    return RunProcess(argv);
  }

  // An artifact of the demo model.
  fs::path Demo(const std::vector<std::string>& flags = {}) {
    std::vector<std::string> argv = {"partition", "--model", "demo", "--output", dir_ / "demo"};
    argv.insert(argv.end(), flags.begin(), flags.end());
    const ProcessResult result = Run(argv);
    EXPECT_EQ(result.exit_code, 0) << result.errors;
    EXPECT_NE(result.output.find("serve it with: dray serve"), std::string::npos) << result.output;
    return dir_ / "demo";
  }

  static std::string Generate(const std::string& model, const std::vector<std::string>& flags) {
    std::vector<std::string> argv = {"generate", model, "-p", "Once upon a time", "-n", "40"};
    argv.insert(argv.end(), flags.begin(), flags.end());
    const ProcessResult result = Run(argv);
    EXPECT_EQ(result.exit_code, 0) << result.errors;
    return result.output;
  }

  std::vector<std::string> Entries() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(dir_)) {
      names.push_back(entry.path().filename().string());
    }
    return names;
  }

  fs::path dir_;
};

TEST_F(PartitionTest, AnswersAreThoseOfTheCheckpoint) {
  const fs::path artifact = Demo({"--quantize", "dynamic_int8"});
  const std::vector<std::vector<std::string>> ways = {
      {},
      {"--tensor-parallel-degree", "2", "--oversubscribe", "true"},
      {"--tensor-parallel-degree", "2", "--oversubscribe", "true", "--rank-transport", "processes"},
  };
  for (const auto& way : ways) {
    auto of_checkpoint = way;
    of_checkpoint.insert(of_checkpoint.end(), {"--quantize", "dynamic_int8"});
    EXPECT_EQ(Generate(artifact, way), Generate("demo", of_checkpoint));
  }
  const ProcessResult inspected = Run({"inspect", artifact});
  EXPECT_NE(inspected.output.find("layers as int8"), std::string::npos) << inspected.output;
  EXPECT_NE(inspected.output.find("layers.0.qkv"), std::string::npos) << inspected.output;
}

TEST_F(PartitionTest, ASavedArtifactIsServedFromThenOn) {
  const std::vector<std::string> flags = {"--save-mp-checkpoint-path", dir_ / "saved", "--quantize",
                                          "dynamic_int8"};
  // The demo model's files are extracted anew each time; a folder's stay.
  const std::string model = DRAY_DEMO_FOLDER;
  const std::string first = Generate(model, flags);
  EXPECT_TRUE(fs::exists(dir_ / "saved" / "dray-artifact.json"));
  const auto written = fs::last_write_time(dir_ / "saved" / "weights.dray");
  EXPECT_EQ(Generate(model, flags), first);
  EXPECT_EQ(Generate(model, {"--quantize", "dynamic_int8"}), first);
  EXPECT_EQ(fs::last_write_time(dir_ / "saved" / "weights.dray"), written);
}

TEST_F(PartitionTest, SettingsBesideTheModelGoWithIt) {
  const fs::path model = dir_ / "model", artifact = dir_ / "artifact";
  fs::copy(DRAY_DEMO_FOLDER, model);
  std::ofstream(model / "serving.properties") << "option.dtype=fp32\noption.max_model_len=77\n";
  const ProcessResult written = Run({"partition", "--model", model, "--output", artifact});
  EXPECT_EQ(written.exit_code, 0) << written.errors;
  EXPECT_EQ(Generate(artifact, {}), Generate(model, {}));
  // 77 tokens are not enough; and settings may be changed, unlike all other files.
  const std::vector<std::string> long_answer = {"generate", artifact, "-p", "Once", "-n", "90"};
  EXPECT_NE(Run(long_answer).exit_code, 0);
  std::ofstream(artifact / "serving.properties") << "option.max_model_len=200\n";
  EXPECT_EQ(Run(long_answer).exit_code, 0);
}

TEST_F(PartitionTest, AModelLargerThanItsMemoryRunsFromTheDiskAndSaysSo) {
  const fs::path artifact = Demo();
  const auto limit = std::to_string(fs::file_size(artifact / "weights.dray") * 9 / 10);
  EXPECT_EQ(Generate(artifact, {"--max-memory", limit}), Generate(artifact, {}));
  Process server({DRAY_PROGRAM, "serve", artifact, "--port", "0", "--threads", "1", "--max-memory",
                  limit, "--max-model-len", "256"});
  const auto line = server.ReadUntil("serving demo on ");
  ASSERT_TRUE(line) << server.output();
  const auto port = static_cast<uint16_t>(std::stoi(line->substr(line->rfind(':') + 1)));
  const auto described = Get(port, "/models/demo");
  ASSERT_TRUE(described);
  EXPECT_NE(described->body.find("diskBytesPerStep"), std::string::npos) << described->body;
  EXPECT_NE(server.output().find("read from the disk"), std::string::npos) << server.output();
  server.Signal(SIGTERM);
  EXPECT_EQ(server.Wait(), 0) << server.output();
}

TEST_F(PartitionTest, ASignalLeavesNothing) {
  const LargeModelFolder model(16);
  for (const int signal : {SIGTERM, SIGINT}) {
    Process process({DRAY_PROGRAM, "partition", "--model", model.dir(), "--output", dir_ / "out",
                     "--load-format", "dummy", "--dtype", "fp32", "--threads", "1"});
    // Until it has begun to write.
    while (Entries().empty()) std::this_thread::yield();
    EXPECT_FALSE(fs::exists(dir_ / "out"));
    process.Signal(signal);
    EXPECT_EQ(process.Wait(), 1) << process.output();
    EXPECT_NE(process.output().find("stopped"), std::string::npos) << process.output();
    EXPECT_TRUE(Entries().empty());
  }
}

TEST_F(PartitionTest, WhatAKilledProcessLeavesIsNotServed) {
  const LargeModelFolder model(16);
  Process process({DRAY_PROGRAM, "partition", "--model", model.dir(), "--output", dir_ / "out",
                   "--load-format", "dummy", "--dtype", "fp32", "--threads", "1"});
  while (Entries().empty()) std::this_thread::yield();
  process.Signal(SIGKILL);
  process.Wait();
  EXPECT_FALSE(fs::exists(dir_ / "out"));
  ASSERT_EQ(Entries().size(), 1U);
  const ProcessResult served = Run({"generate", dir_ / Entries()[0], "-p", "x"});
  EXPECT_EQ(served.exit_code, 1);
}

TEST_F(PartitionTest, DamageIsRefusedBeforeTheModelIsReady) {
  const fs::path file = Demo() / "weights.dray";
  std::fstream(file, std::ios::in | std::ios::out | std::ios::binary).seekp(1'000'000) << "!";
  for (const char* transport : {"threads", "processes"}) {
    for (const char* degree : {"1", "2"}) {
      const ProcessResult refused =
          Run({"generate", dir_ / "demo", "-p", "x", "--tensor-parallel-degree", degree,
               "--rank-transport", transport, "--oversubscribe", "true"});
      EXPECT_EQ(refused.exit_code, 1);
      EXPECT_TRUE(refused.output.empty()) << refused.output;
      EXPECT_NE(refused.errors.find(file.string()), std::string::npos) << refused.errors;
    }
  }
}

TEST_F(PartitionTest, TheFileThatIsMissingOrDamagedIsNamed) {
  const fs::path artifact = Demo();
  const auto expect_named = [&](const fs::path& file) {
    const ProcessResult refused = Run({"generate", artifact, "-p", "x"});
    EXPECT_EQ(refused.exit_code, 1);
    EXPECT_NE(refused.errors.find(file.string()), std::string::npos) << refused.errors;
  };
  fs::rename(artifact / "dray-artifact.json", dir_ / "away");
  expect_named(artifact / "dray-artifact.json");
  fs::rename(dir_ / "away", artifact / "dray-artifact.json");
  // Its reader finds a fault of its own.
  std::ofstream(artifact / "tokenizer.json") << "{";
  expect_named(artifact / "tokenizer.json");
}

// The request that meets the change fails; the process goes on, and says that the model is not well.
TEST_F(PartitionTest, AFileThatIsCutShortWhileItServesLosesNoProcess) {
  const fs::path artifact = Demo();
  Process server(
      {DRAY_PROGRAM, "serve", artifact, "--port", "0", "--threads", "1", "--max-model-len", "256"});
  const auto line = server.ReadUntil("serving demo on ");
  ASSERT_TRUE(line) << server.output();
  const auto port = static_cast<uint16_t>(std::stoi(line->substr(line->rfind(':') + 1)));
  const std::string request = R"({"inputs": "Once", "parameters": {"max_new_tokens": 5}})";
  auto response = Post(port, "/invocations", request);
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 200) << response->body;
  fs::resize_file(artifact / "weights.dray", 4096);
  response = Post(port, "/invocations", request);
  ASSERT_TRUE(response);
  EXPECT_NE(response->status, 200) << response->body;
  EXPECT_TRUE(Get(port, "/ping").has_value());
  server.Signal(SIGTERM);
  EXPECT_EQ(server.Wait(), 0) << server.output();
  EXPECT_NE(server.output().find("weights.dray"), std::string::npos) << server.output();
}

}  // namespace
}  // namespace dray::testing
