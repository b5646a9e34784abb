// The flows of published walk-throughs of the large model inference container, from the files and the environment to
// the answer, with the demo model in the place of the large one. A walk-through's own model.py is left out: what its
// handler does is the answer shape of its engine.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <charconv>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "base/parse/json.h"
#include "base/testing/source_dir.h"
#include "testing/http_client.h"
#include "testing/process.h"

namespace dray::testing {
namespace {

namespace fs = std::filesystem;

// A folder of models, as a walk-through has it mounted at /opt/ml/model, with one model in it.
class ModelStore {
 public:
  ModelStore(const std::string& model, const std::string& properties)
      : folder_(fs::path(std::getenv("TEST_TMPDIR")) / (model + "_store")) {
    fs::remove_all(folder_);
    fs::create_directories(folder_ / model);
    for (const auto& file : fs::directory_iterator(DemoFolder())) {
      fs::create_symlink(file.path(), folder_ / model / file.path().filename());
    }
    std::ofstream(folder_ / model / "serving.properties") << properties;
  }
  std::string path() const { return folder_.string(); }
  static fs::path DemoFolder() { return SourceDir() / "models/demo"; }

 private:
  const fs::path folder_;
};

// The program as the entry point of the container: everything it is told is in the store and the environment.
class Container {
 public:
  Container(const ModelStore& store, const std::vector<std::string>& environment)
      : process_(Command(store, environment)) {
    const auto line = process_.ReadUntil("serving ");
    EXPECT_TRUE(line) << process_.output();
    if (!line) return;
    const size_t colon = line->rfind(':');
    std::from_chars(line->data() + colon + 1, line->data() + line->size(), port_);
  }

  uint16_t port() const { return port_; }
  int Stop() {
    process_.Signal(SIGTERM);
    return process_.Wait();
  }
  // The JSON of the answer to the request, which must have succeeded.
  Json Ask(const std::string& target, const std::string& type, const std::string& body) const {
    HttpClient client(port_);
    client.Send(fmt::format(
        "POST {} HTTP/1.1\r\nHost: h\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n{}", target,
        type, body.size(), body));
    const auto response = client.ReadResponse();
    if (!response) {
      ADD_FAILURE() << "no answer";
      return {};
    }
    EXPECT_EQ(response->status, 200) << response->body;
    auto json = Json::Parse(response->body);
    EXPECT_TRUE(json.ok()) << response->body;
    return json.ok() ? std::move(json).value() : Json();
  }

 private:
  static std::vector<std::string> Command(const ModelStore& store,
                                          const std::vector<std::string>& environment) {
    std::vector<std::string> command = {"/usr/bin/env", "SERVING_MODEL_STORE=" + store.path(),
                                        "SAGEMAKER_BIND_TO_PORT=0", "OPTION_THREADS=1"};
    command.insert(command.end(), environment.begin(), environment.end());
    command.insert(command.end(), {DRAY_PROGRAM, "serve"});
    return command;
  }

  Process process_;
  uint16_t port_ = 0;
};

// The text of [{"generated_text": ...}].
std::string OnlyText(const Json& answer) {
  const auto* const list = answer.AsArray();
  if (list == nullptr || list->size() != 1) {
    ADD_FAILURE() << answer.Dump();
    return "";
  }
  return *list->front().Find("generated_text")->AsString();
}

// The 13-billion-parameter OPT on Neuron: a batch of two texts by curl.
TEST(PublishedFlowsTest, OptOnNeuronAnswersABatchOfTexts) {
  const ModelStore store("opt13b", fmt::format("option.model_id={}\n"
                                               "option.batch_size=2\n"
                                               "option.tensor_parallel_degree=1\n"
                                               "option.n_positions=256\n"
                                               "option.dtype=fp16\n"
                                               "option.model_loading_timeout=600\n"
                                               "engine=Python\n"
                                               "option.entryPoint=djl_python.transformers-neuronx\n"
                                               "#option.s3url=s3://djl-llm/opt-1.3b/\n",
                                               ModelStore::DemoFolder().string()));
  Container container(store, {"MODEL_LOADING_TIMEOUT=7200", "PREDICT_TIMEOUT=360"});
  const Json answer = container.Ask("/predictions/opt13b", "application/json",
                                    "{\"seq_length\":2048,\n"
                                    "          \"text\":[\n"
                                    "                    \"Hello, I am a language model,\",\n"
                                    "                    \"Welcome to Amazon Elastic Compute "
                                    "Cloud,\"\n"
                                    "                 ]\n"
                                    "         }");
  const Json* const outputs = answer.Find("outputs");
  ASSERT_NE(outputs, nullptr) << answer.Dump();
  ASSERT_EQ(outputs->AsArray()->size(), 2U);
  EXPECT_EQ(answer.AsObject()->size(), 1U);
  EXPECT_TRUE(outputs->AsArray()->at(0).AsString()->starts_with("Hello, I am a language model,"));
  EXPECT_TRUE(outputs->AsArray()->at(1).AsString()->starts_with(
      "Welcome to Amazon Elastic Compute Cloud,"));
  EXPECT_EQ(container.Stop(), 0);
}

// The same model with the smaller file and the walk-through's own handler.
TEST(PublishedFlowsTest, OptOnNeuronTakesTheShortFile) {
  const ModelStore store("opt13b",
                         "option.tensor_parallel_degree=1\n"
                         "option.batch_size=2\n"
                         "option.dtype=f16\n"
                         "engine=Python\n"
                         "option.entryPoint=djl_python.transformers_neuronx\n"
                         "option.task=text-generation\n");
  Container container(store, {});
  const Json answer = container.Ask("/invocations", "application/json",
                                    R"({"seq_length": 20, "text": ["One day", "The sun"]})");
  EXPECT_EQ(answer.Find("outputs")->AsArray()->size(), 2U) << answer.Dump();
  EXPECT_EQ(container.Stop(), 0);
}

// GPT-J on Rubikon: the handler reads the body as text, and samples at most 256 new tokens.
TEST(PublishedFlowsTest, GptJAnswersAText) {
  const ModelStore store("gpt-j", "engine=Rubikon\n");
  Container container(store, {"TENSOR_PARALLEL_DEGREE=1"});
  EXPECT_TRUE(OnlyText(container.Ask("/invocations", "text/plain", "Once upon a time"))
                  .starts_with("Once upon a time"));
  // What the tuning of the same walk-through sets.
  EXPECT_EQ(container.Stop(), 0);
  const ModelStore tuned("gpt-j",
                         "engine=Rubikon\n"
                         "# use minWorkers/maxWorkers for all devices\n"
                         "gpu.minWorkers=2\n"
                         "gpu.maxWorkers=3\n"
                         "cpu.minWorkers=2\n"
                         "cpu.maxWorkers=4\n"
                         "batch_size=2\n"
                         "max_batch_delay=10\n"
                         "max_idle_time=120\n");
  Container with_workers(tuned, {"TENSOR_PARALLEL_DEGREE=1", "SERVING_JOB_QUEUE_SIZE=10"});
  const auto description = Get(with_workers.port(), "/models/gpt_j");
  ASSERT_TRUE(description);
  ASSERT_EQ(description->status, 200) << description->body;
  const auto json = Json::Parse(description->body);
  ASSERT_TRUE(json.ok());
  const Json& model = json->AsArray()->front().Find("models")->AsArray()->front();
  EXPECT_EQ(model.Find("batchSize")->AsInt64(), 2);
  EXPECT_EQ(model.Find("maxBatchDelayMillis")->AsInt64(), 10);
  EXPECT_EQ(model.Find("maxIdleSeconds")->AsInt64(), 120);
  EXPECT_EQ(model.Find("queueSize")->AsInt64(), 10);
  const Json& group = model.Find("workerGroups")->AsArray()->front();
  EXPECT_EQ(group.Find("minWorkers")->AsInt64(), 2);
  EXPECT_EQ(group.Find("maxWorkers")->AsInt64(), 4);
  EXPECT_FALSE(OnlyText(with_workers.Ask("/invocations", "text/plain", "The little dog")).empty());
  EXPECT_EQ(with_workers.Stop(), 0);
}

// BLOOM and OPT-30B on DeepSpeed: one line of properties, everything else in the environment of SageMaker's model.
TEST(PublishedFlowsTest, BloomAnswersInputsAndText) {
  const ModelStore store("bloom", "engine=DeepSpeed\n");
  Container container(
      store, {"MODEL_S3_BUCKET=bucket", "MODEL_S3_PREFIX=bloom", "TENSOR_PARALLEL_DEGREE=1"});
  EXPECT_TRUE(
      OnlyText(container.Ask("/invocations", "application/json",
                             R"({"inputs": "Lily and Ben", "parameters": {"max_new_tokens": 8}})"))
          .starts_with("Lily and Ben"));
  const Json batch = container.Ask("/invocations", "application/json",
                                   R"({"inputs": ["A big", "It was"], "parameters": {}})");
  EXPECT_EQ(batch.AsArray()->size(), 2U) << batch.Dump();
  EXPECT_TRUE(
      OnlyText(container.Ask("/invocations", "text/plain", "One day")).starts_with("One day"));
  EXPECT_EQ(container.Stop(), 0);
}

// FLAN-T5 on FasterTransformer, with its names of parameters.
TEST(PublishedFlowsTest, FasterTransformerTakesItsParameters) {
  const ModelStore store("flan", fmt::format("engine=FasterTransformer\n"
                                             "option.entryPoint=djl_python.fastertransformer\n"
                                             "option.tensor_parallel_degree=1\n"
                                             "option.model_id={}\n"
                                             "option.dtype=fp32\n",
                                             ModelStore::DemoFolder().string()));
  Container container(store, {});
  const Json answer = container.Ask(
      "/invocations", "application/json",
      R"({"inputs": ["The sun", "One day"], "parameters": {"max_seq_len": 10, "temperature": 0.5}})");
  ASSERT_EQ(answer.AsArray()->size(), 2U) << answer.Dump();
  for (const Json& one : *answer.AsArray()) EXPECT_NE(one.Find("generated_text"), nullptr);
  EXPECT_EQ(container.Stop(), 0);
}

}  // namespace
}  // namespace dray::testing
