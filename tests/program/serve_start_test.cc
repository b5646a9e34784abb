// `dray serve` while its model is being loaded: it listens, says that it is not ready, and ends at
// once if it is told to. And the name of a model, however its path is spelt.
#include <gtest/gtest.h>

#include <charconv>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/parse/json.h"
#include "base/testing/source_dir.h"
#include "testing/http_client.h"
#include "testing/large_model.h"
#include "testing/process.h"

namespace dray::testing {
namespace {

namespace fs = std::filesystem;

const std::string kDray = DRAY_PROGRAM;

// The port in a line that says "http://HOST:PORT".
uint16_t PortOf(const std::string& line) {
  uint16_t port = 0;
  const size_t colon = line.find(':', line.find("http://") + 7);
  std::from_chars(line.data() + colon + 1, line.data() + line.size(), port);
  return port;
}

std::string StatusOf(const HttpResponse& ping, const std::string& model) {
  return *Json::Parse(ping.body)->Find(model)->Find("status")->AsString();
}

class LoadingServer {
 public:
  LoadingServer()
      : process_({kDray, "serve", folder_.dir().string(), "--port", "0", "--load-format", "dummy",
                  "--dtype", "bf16", "--threads", "1", "--max-model-len", "64"}) {
    if (const auto line = process_.ReadUntil("listening on")) port_ = PortOf(*line);
    EXPECT_NE(port_, 0) << process_.output();
  }

  Process& process() { return process_; }
  uint16_t port() const { return port_; }
  std::string name() const { return folder_.name(); }

 private:
  // 380 million weights: whole seconds of one thread.
  const LargeModelFolder folder_{24};
  Process process_;
  uint16_t port_ = 0;
};

TEST(ServeStartTest, IsNotReadyBeforeItsModelIs) {
  LoadingServer server;
  const auto ping = Get(server.port(), "/ping");
  ASSERT_TRUE(ping);
  EXPECT_EQ(ping->status, 503);
  EXPECT_EQ(StatusOf(*ping, server.name()), "PENDING");
  const auto refused = Post(server.port(), "/invocations", R"({"inputs": "x"})");
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 503);
  EXPECT_NE(refused->body.find("Model is not ready: " + server.name()), std::string::npos);

  ASSERT_TRUE(server.process().ReadUntil("serving " + server.name() + " on http://"));
  const auto ready = Get(server.port(), "/ping");
  ASSERT_TRUE(ready);
  EXPECT_EQ(ready->status, 200);
  EXPECT_EQ(StatusOf(*ready, server.name()), "Healthy");
  server.process().Signal(SIGTERM);
  EXPECT_EQ(server.process().Wait(), 0);
}

TEST(ServeStartTest, ASignalEndsLoading) {
  LoadingServer server;
  const auto signalled = std::chrono::steady_clock::now();
  server.process().Signal(SIGTERM);
  EXPECT_EQ(server.process().Wait(), 0);
  EXPECT_LT(std::chrono::steady_clock::now() - signalled, std::chrono::seconds(20));
  EXPECT_EQ(server.process().output().find("serving "), std::string::npos);
}

TEST(ServeStartTest, AModelThatCannotBeLoadedEndsTheServer) {
  const LargeModelFolder folder(1);  // without weights
  const auto result = RunProcess({kDray, "serve", folder.dir().string(), "--port", "0"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.errors.find("dray serve: "), std::string::npos) << result.errors;
  EXPECT_NE(result.errors.find(folder.dir().string()), std::string::npos) << result.errors;
  EXPECT_EQ(result.output, "");
}

// The first answer to /ping that is not 200, of a server that begins to listen before its models are loaded; nothing if
// the server has ended before it gave one.
std::optional<HttpResponse> FailedPing(Process& process) {
  const auto line = process.ReadUntil("listening on");
  if (!line) return std::nullopt;
  std::optional<HttpResponse> ping;
  do {
    ping = Get(PortOf(*line), "/ping");
  } while (ping && ping->status == 200);
  return ping;
}

TEST(ServeStartTest, ProbesSeeThatAModelHasFailedIfTheyNeedNotWait) {
  const LargeModelFolder folder(1);  // without weights
  // The server shows it for three seconds, which a busy machine may take from this test.
  constexpr int kTries = 10;
  std::optional<HttpResponse> ping;
  for (int i = 0; i < kTries && !ping; ++i) {
    Process process(
        {kDray, "serve", folder.dir().string(), "--port", "0", "--wait-model-loading", "false"});
    ping = FailedPing(process);
    EXPECT_EQ(process.Wait(), 1) << process.output();
  }
  ASSERT_TRUE(ping);
  EXPECT_EQ(ping->status, 500);
  EXPECT_EQ(StatusOf(*ping, folder.name()), "FAILED");
}

// The small demo model in a folder called "gpt2".
class NamedFolder {
 public:
  NamedFolder() {
    std::string pattern = ::testing::TempDir() + "serve_start_XXXXXX";
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    fs::copy(SourceDir() / "models" / "demo", root_ / "gpt2");
  }
  ~NamedFolder() { fs::remove_all(root_); }
  NamedFolder(const NamedFolder&) = delete;
  NamedFolder& operator=(const NamedFolder&) = delete;
  const fs::path& root() const { return root_; }

 private:
  fs::path root_;
};

// Starts `command` by a shell in the model's folder; it must serve "gpt2" and answer by that name
// and by none.
void ExpectNameIsGpt2(const NamedFolder& folder, const std::string& command) {
  Process process(
      {"/bin/sh", "-c", "cd '" + (folder.root() / "gpt2").string() + "' && exec " + command});
  const auto line = process.ReadUntil("serving gpt2 on ");
  ASSERT_TRUE(line) << command << "\n" << process.output();
  const uint16_t port = PortOf(*line);
  const auto ping = Get(port, "/ping");
  ASSERT_TRUE(ping);
  EXPECT_EQ(StatusOf(*ping, "gpt2"), "Healthy");
  const std::string body = R"({"inputs": "One day", "parameters": {"max_new_tokens": 1}})";
  for (const char* path : {"/invocations", "/predictions/gpt2"}) {
    const auto answer = Post(port, path, body);
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 200) << command << " " << path << " " << answer->body;
  }
}

TEST(ServeStartTest, TheNameIsTheLastPartOfThePathInEverySpelling) {
  const NamedFolder folder;
  const std::string serve = "'" + kDray + "' serve --port 0";
  const std::string path = (folder.root() / "gpt2").string();
  for (const std::string& spelt : {path + "/", path + "/.", std::string("./"), std::string(".")}) {
    ExpectNameIsGpt2(folder, serve + " '" + spelt + "'");
    ExpectNameIsGpt2(folder, serve + " --model-id '" + spelt + "'");
    ExpectNameIsGpt2(folder, "env HF_MODEL_ID='" + spelt + "' " + serve);
    ExpectNameIsGpt2(folder, "env OPTION_MODEL_ID='" + spelt + "' " + serve);
  }
  // A folder with nothing but serving.properties.
  for (const std::string& spelt : {path + "/", path + "/./"}) {
    fs::create_directories(folder.root() / "settings");
    std::ofstream(folder.root() / "settings" / "serving.properties")
        << "option.model_id=" << spelt << "\n";
    ExpectNameIsGpt2(folder, serve + " ../settings");
  }
}

// The model's name and the port in the first line of a server that `command` starts.
void ExpectServes(const std::string& command, const std::string& name, const std::string& said) {
  Process process({"/bin/sh", "-c", "exec " + command});
  const auto line = process.ReadUntil("serving " + name + " on ");
  ASSERT_TRUE(line) << command << "\n" << process.output();
  EXPECT_NE(process.output().find(said), std::string::npos) << process.output();
  const auto ping = Get(PortOf(*line), "/ping");
  ASSERT_TRUE(ping);
  EXPECT_EQ(StatusOf(*ping, name), "Healthy");
  process.Signal(SIGTERM);
  EXPECT_EQ(process.Wait(), 0) << process.output();
}

// As images start it: the word serve and nothing else, with all the rest in the environment and in files.
TEST(ServeStartTest, WithoutAnArgumentItServesTheStoreOfAContainer) {
  const NamedFolder store;
  const std::string serve = "'" + kDray + "' serve";
  const std::string root = store.root().string();
  const std::string port = "env SERVING_PORT=0 ";
  ExpectServes(port + "SERVING_MODEL_STORE=" + root + " " + serve, "gpt2", "");
  ExpectServes(port + "MODEL_STORE=" + root + "/gpt2 " + serve, "gpt2", "");
  ExpectServes(port + "HF_MODEL_ID=" + root + "/gpt2 " + serve, "gpt2", "");
  ExpectServes(port + serve + " -s " + root + " -m gpt2", "gpt2", "");

  fs::create_directories(store.root() / "home/conf");
  std::ofstream(store.root() / "home/conf/config.properties")
      << "inference_address=http://127.0.0.1:0\nmodel_store=" << root << "/gpt2\n";
  std::ofstream(store.root() / "gpt2/serving.properties")
      << "engine=DeepSpeed\noption.entryPoint=djl_python.deepspeed\n";
  ExpectServes(
      "env MODEL_SERVER_HOME=" + root + "/home " + serve, "gpt2",
      "engine=DeepSpeed, option.entryPoint=djl_python.deepspeed: dray's own engine serves");
}

// Configurations of published walk-throughs, with a small model in the place of the large one.
TEST(ServeStartTest, PublishedConfigurationsStart) {
  const NamedFolder store;
  const std::string serve =
      "env SERVING_PORT=0 TENSOR_PARALLEL_DEGREE=1 SERVING_MODEL_STORE=" + store.root().string() +
      " '" + kDray + "' serve";
  for (const auto& [properties, said] :
       {std::pair<std::string, std::string>{"engine=Rubikon\n", "engine=Rubikon: dray's own"},
        {"engine=Python\noption.entryPoint=djl_python.transformers-neuronx\n"
         "option.n_positions=64\noption.dtype=f16\noption.model_loading_timeout=600\n",
         "option.entryPoint=djl_python.transformers-neuronx: dray's own engine serves"},
        {"engine=MPI\noption.rolling_batch=lmi-dist\noption.max_rolling_batch_size=4\n",
         "engine=MPI, option.rolling_batch=lmi-dist: dray's own engine serves"}}) {
    std::ofstream(store.root() / "gpt2/serving.properties") << properties;
    ExpectServes(serve, "gpt2", said);
  }
}

TEST(ServeStartTest, AHandlerInPythonIsRefusedByName) {
  const NamedFolder folder;
  const fs::path model = folder.root() / "gpt2";
  std::ofstream(model / "model.py") << "def handle(inputs):\n  return None\n";
  const auto refused = RunProcess({kDray, "serve", model.string(), "--port", "0"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_EQ(refused.errors, "dray serve: " + (model / "model.py").string() +
                                ": handlers in Python are not in this build; remove the file, or "
                                "set option.entryPoint=djl_python.huggingface to serve the model "
                                "without it\n");
}

// Also the model that the command line names, whose settings were read before it was loaded.
TEST(ServeStartTest, AChangedModelReadsItsSettingsAnew) {
  const NamedFolder folder;
  Process process({kDray, "serve", (folder.root() / "gpt2").string(), "--port", "0", "--threads",
                   "1", "--model-reload-interval", "1", "--kv-cache-bytes", "8MiB"});
  const auto line = process.ReadUntil("serving gpt2 on http://");
  ASSERT_TRUE(line) << process.output();
  const auto has_queue_of = [&](const std::string& size) {
    const auto described = Get(PortOf(*line), "/models/gpt2");
    return described && described->body.find("\"queueSize\": " + size) != std::string::npos;
  };
  EXPECT_TRUE(has_queue_of("1000"));
  std::ofstream(folder.root() / "gpt2/serving.properties") << "job_queue_size=7\n";
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(2);
  while (!has_queue_of("7") && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  EXPECT_TRUE(has_queue_of("7"));
  process.Signal(SIGTERM);
  EXPECT_EQ(process.Wait(), 0);
}

}  // namespace
}  // namespace dray::testing
