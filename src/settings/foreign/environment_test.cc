// The variables of the container: what each stands for, and which of them goes over which.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "settings/foreign/container_defaults.h"
#include "settings/foreign/environment_names.h"
#include "settings/foreign/key_search.h"
#include "settings/load_settings.h"

namespace dray::settings {
namespace {

namespace fs = std::filesystem;

using Texts = std::vector<std::string>;
using Variables = std::map<std::string, std::string>;

LoadedSettings Load(const Variables& environment, const Properties& serving_properties = {}) {
  SettingSources sources;
  sources.environment = environment;
  sources.serving_properties = serving_properties;
  auto loaded = LoadSettings(sources);
  EXPECT_TRUE(loaded.ok()) << loaded.status().message();
  return loaded.ok() ? *loaded : LoadedSettings{};
}

TEST(EnvironmentTest, EveryVariableStandsForAKnownKey) {
  for (const EnvironmentVariable& variable : EnvironmentVariables()) {
    EXPECT_EQ(Suggestion(variable.property),
              "; did you mean " + std::string(variable.property) + "?")
        << variable.name;
  }
}

TEST(EnvironmentTest, NamesOfTheImagesOfTgi) {
  const LoadedSettings loaded = Load({{"HF_MODEL_ID", "/m/gpt2"},
                                      {"HF_MODEL_QUANTIZE", "bitsandbytes-nf4"},
                                      {"SM_NUM_GPUS", "1"},
                                      {"MAX_CONCURRENT_REQUESTS", "9"},
                                      {"MAX_BATCH_PREFILL_TOKENS", "512"},
                                      {"MAX_BATCH_SIZE", "4"},
                                      {"MAX_TOTAL_TOKENS", "100"},
                                      {"MAX_INPUT_LENGTH", "50"},
                                      {"HF_TOKEN", "hf_secret"},
                                      {"HOSTNAME", "container"}});
  const ModelSettings& model = loaded.settings.model;
  EXPECT_EQ(model.model_id, "/m/gpt2");
  EXPECT_EQ(model.quantization.method, QuantizationMethod::kInt4Asymmetric);
  EXPECT_EQ(model.job_queue_size, 9);
  EXPECT_EQ(model.max_rolling_batch_prefill_tokens, 512);
  EXPECT_EQ(model.max_rolling_batch_size, 4);
  EXPECT_EQ(model.max_model_len, 100);
  EXPECT_EQ(loaded.warnings,
            (Texts{"environment: HF_MODEL_QUANTIZE is \"bitsandbytes-nf4\", which dray does not "
                   "have; option.quantize=int4_asym is used in its place",
                   "environment: MAX_INPUT_LENGTH is \"50\", which has no effect: "
                   "MAX_TOTAL_TOKENS bounds prompts and answers together"}));
}

TEST(EnvironmentTest, OptionsGoOverTgisNames) {
  EXPECT_EQ(Load({{"MAX_BATCH_SIZE", "4"}, {"OPTION_MAX_NUM_SEQS", "8"}})
                .settings.model.max_rolling_batch_size,
            8);
  EXPECT_EQ(
      Load({{"MAX_TOTAL_TOKENS", "4"}, {"OPTION_MAX_MODEL_LEN", "8"}}).settings.model.max_model_len,
      8);
}

TEST(EnvironmentTest, NamesOfSageMakerGoOverServingProperties) {
  const LoadedSettings loaded = Load({{"SAGEMAKER_MODEL_SERVER_TIMEOUT_SECONDS", "30"},
                                      {"SAGEMAKER_MAX_PAYLOAD_IN_MB", "6"},
                                      {"SAGEMAKER_NUM_MODEL_WORKERS", "1"},
                                      {"SERVING_MAX_REQUEST_SIZE", "1000"}},
                                     {{"option.predict_timeout", "60"}});
  EXPECT_EQ(loaded.settings.model.predict_timeout_s, 30);
  EXPECT_EQ(loaded.settings.server.max_request_bytes, 6 << 20);
  EXPECT_EQ(loaded.warnings, Texts{});
  const LoadedSettings both =
      Load({{"SAGEMAKER_MAX_PAYLOAD_IN_MB", "6"}, {"SAGEMAKER_MAX_REQUEST_SIZE", "77"}});
  EXPECT_EQ(both.settings.server.max_request_bytes, 77);
  EXPECT_EQ(both.warnings, Texts{"environment: SAGEMAKER_MAX_REQUEST_SIZE goes over "
                                 "SAGEMAKER_MAX_PAYLOAD_IN_MB, which stands for the same key"});
}

TEST(EnvironmentTest, TheServersOptionsMayHaveAnyCaseAndMayBeEmpty) {
  const LoadedSettings loaded = Load({{"OPTION_ENTRYPOINT", "djl_python.deepspeed"},
                                      {"OPTION_dtype", "fp16"},
                                      {"OPTION_QUANTIZE", ""},
                                      {"SERVING_LOAD_MODELS", "ALL"},
                                      {"SERVING_OPTS", ""}});
  EXPECT_EQ(loaded.warnings, Texts{});
  EXPECT_EQ(loaded.settings.model.dtype, kernels::WeightFormat::kF16);
  EXPECT_EQ(loaded.notes, Texts{"option.entryPoint=djl_python.deepspeed: dray's own engine serves "
                                "with the same options"});
}

TEST(EnvironmentTest, NamesOfVllmsImage) {
  const LoadedSettings loaded = Load({{"SM_VLLM_MODEL", "/opt/ml/model"},
                                      {"SM_VLLM_MAX_MODEL_LEN", "77"},
                                      {"SM_VLLM_ENFORCE_EAGER", ""}});
  EXPECT_EQ(loaded.settings.model.model_id, "/opt/ml/model");
  EXPECT_EQ(loaded.settings.model.max_model_len, 77);
  EXPECT_EQ(loaded.warnings,
            Texts{"environment: SM_VLLM_ENFORCE_EAGER is \"true\", which has no effect: it tunes a "
                  "backend that dray does not have"});
}

TEST(EnvironmentTest, UnknownNamesAreWarnedOfWithWhatIsNear) {
  EXPECT_EQ(Load({{"OPTION_MAX_ROLLING_BATCH_SZE", "1"}, {"ARGS_TOPK", "1"}}).warnings,
            (Texts{"environment: ARGS_TOPK is an argument of a translator, which dray does not "
                   "have; it has no effect",
                   "environment: OPTION_MAX_ROLLING_BATCH_SZE is no setting that dray knows; it "
                   "has no effect; did you mean option.max_rolling_batch_size?"}));
}

// A folder that stands for the root of a file system.
class RootTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "root_XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
  }
  void TearDown() override { fs::remove_all(root_); }

  fs::path root_;
};

TEST_F(RootTest, AContainerIsSeenByItsFilesAndVariables) {
  EXPECT_FALSE(RunsInContainer({{"PATH", "/bin"}}, root_));
  for (const char* name : {"container", "KUBERNETES_SERVICE_HOST", "ECS_CONTAINER_METADATA_URI_V4",
                           "SAGEMAKER_BIND_TO_PORT"}) {
    EXPECT_TRUE(RunsInContainer({{name, "1"}}, root_)) << name;
  }
  fs::create_directories(root_ / "run");
  std::ofstream(root_ / "run" / ".containerenv");
  EXPECT_TRUE(RunsInContainer({}, root_));
  fs::remove_all(root_ / "run");
  std::ofstream(root_ / ".dockerenv");
  EXPECT_TRUE(RunsInContainer({}, root_));
}

TEST_F(RootTest, AContainersServerTakesTheModelsOfItsFolder) {
  EXPECT_EQ(ContainerDefaults({}, root_), Properties());
  fs::create_directories(root_ / "opt/ml/model");
  const std::string store = (root_ / "opt/ml/model").string();
  EXPECT_EQ(ContainerDefaults({}, root_), (Properties{{"model_store", store}}));
  SettingSources sources;
  sources.environment = {{"SAGEMAKER_BIND_TO_PORT", "9000"}};
  sources.container_defaults = ContainerDefaults(sources.environment, root_);
  ServerSettings server = LoadSettings(sources)->settings.server;
  EXPECT_EQ(server.model_store, store);
  EXPECT_EQ(ToString(server.inference_address), "http://0.0.0.0:9000");
  // Everything else goes over these.
  sources.config_properties = {{"inference_address", "http://127.0.0.1:1"}};
  sources.environment["MODEL_STORE"] = "/m";
  server = LoadSettings(sources)->settings.server;
  EXPECT_EQ(server.model_store, "/m");
  EXPECT_EQ(ToString(server.inference_address), "http://127.0.0.1:9000");
  sources.environment["SERVING_MODEL_STORE"] = "/n";
  EXPECT_EQ(LoadSettings(sources)->settings.server.model_store, "/n");
}

TEST_F(RootTest, OnSageMakerTheIdOfARequestIsSageMakers) {
  SettingSources sources;
  sources.container_defaults = ContainerDefaults({}, root_);
  EXPECT_EQ(LoadSettings(sources)->settings.server.request_id_header, "x-request-id");
  fs::create_directories(root_ / "opt/ml/.sagemaker_infra");
  std::ofstream(root_ / "opt/ml/.sagemaker_infra/endpoint-metadata.json");
  sources.container_defaults = ContainerDefaults({}, root_);
  EXPECT_EQ(LoadSettings(sources)->settings.server.request_id_header,
            "X-Amzn-SageMaker-Inference-Id");
  sources.config_properties = {{"request_id_header_key", "x-id"}};
  EXPECT_EQ(LoadSettings(sources)->settings.server.request_id_header, "x-id");
}

TEST_F(RootTest, TheServersHomeHasItsConfiguration) {
  const Variables home = {{"MODEL_SERVER_HOME", root_.string()}};
  EXPECT_EQ(*FindServerConfig({}), "");
  EXPECT_EQ(*FindServerConfig(home), "");
  std::ofstream(root_ / "config.properties");
  EXPECT_EQ(*FindServerConfig(home), root_ / "config.properties");
  fs::create_directories(root_ / "conf");
  std::ofstream(root_ / "conf" / "config.properties");
  EXPECT_EQ(*FindServerConfig(home), root_ / "conf/config.properties");
  const auto wrong = FindServerConfig({{"MODEL_SERVER_HOME", "/no/such"}});
  ASSERT_FALSE(wrong.ok());
  EXPECT_EQ(wrong.status().message(),
            "environment: MODEL_SERVER_HOME is \"/no/such\", which is no folder; name the folder "
            "with conf/config.properties, or unset it");
}

TEST(EnvironmentTest, AnEmptyNameOfAnotherServerIsNone) {
  const LoadedSettings loaded = Load({{"HF_MODEL_ID", ""},
                                      {"MAX_BATCH_SIZE", ""},
                                      {"SM_NUM_GPUS", ""},
                                      {"SAGEMAKER_MAX_PAYLOAD_IN_MB", ""}});
  EXPECT_EQ(loaded.settings.model.model_id, "");
  EXPECT_EQ(loaded.warnings, Texts{});
}

TEST(EnvironmentTest, AKeyForClientsMayNotBeEmpty) {
  SettingSources sources;
  sources.environment = {{"SERVING_API_KEY", ""}};
  EXPECT_EQ(LoadSettings(sources).status().message(),
            "environment: SERVING_API_KEY is \"\"; it must not be empty");
}

}  // namespace
}  // namespace dray::settings
