// Sources over sources, and keys that are wrong, unknown or contradictory.
#include "settings/load_settings.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <set>
#include <utility>

#include "base/file.h"
#include "base/testing/source_dir.h"
#include "settings/settings_table.h"

namespace dray::settings {
namespace {

LoadedSettings Load(const SettingSources& sources) {
  auto loaded = LoadSettings(sources);
  EXPECT_TRUE(loaded.ok()) << loaded.status().message();
  return loaded.ok() ? *loaded : LoadedSettings{};
}

std::string ErrorOf(const SettingSources& sources) {
  const auto loaded = LoadSettings(sources);
  EXPECT_FALSE(loaded.ok());
  return loaded.status().message();
}

SettingSources File(Properties properties) {
  return {.config_properties = {},
          .environment = {},
          .serving_properties = std::move(properties),
          .flags = {}};
}
SettingSources Env(std::map<std::string, std::string> environment) {
  return {.config_properties = {},
          .environment = std::move(environment),
          .serving_properties = {},
          .flags = {}};
}

TEST(SettingsTest, WhatRequestsMayTakeIsReadFromEverySource) {
  const auto loaded = Load({.config_properties = {{"max_request_memory", "1GiB"}},
                            .environment = {{"SERVING_REQUEST_BODY_TIMEOUT", "20"}},
                            .serving_properties = {},
                            .flags = {{"min-request-body-rate", "0"}}});
  EXPECT_EQ(loaded.settings.server.request_memory_bytes, int64_t{1} << 30);
  EXPECT_EQ(loaded.settings.server.body_timeout_s, 20);
  EXPECT_EQ(loaded.settings.server.min_body_bytes_per_second, 0);
  const auto answers = Load(Env({{"SERVING_MEMORY_CACHE_CAPACITY", "-1"}}));
  EXPECT_EQ(answers.settings.server.max_kept_answers, -1);
  for (const char* value : {"0", "-1", "soon", "1.5"}) {
    const std::string error = ErrorOf(Env({{"SERVING_REQUEST_BODY_TIMEOUT", value}}));
    EXPECT_NE(error.find("SERVING_REQUEST_BODY_TIMEOUT"), std::string::npos) << error;
  }
}

TEST(SettingsTest, DefaultsAreWhatTheTableSays) {
  const Settings defaults;
  for (const Setting& setting : SettingTable()) {
    const std::string_view text = setting.default_text;
    if (text.empty() || text.find(' ') != std::string_view::npos) continue;
    Settings settings;
    ASSERT_TRUE(setting.set(settings, text).ok()) << setting.property;
    EXPECT_EQ(settings.server.inference_address, defaults.server.inference_address)
        << setting.property;
    EXPECT_EQ(settings.server.tls.keystore_pass, defaults.server.tls.keystore_pass);
    EXPECT_EQ(settings.server.http_threads, defaults.server.http_threads);
    EXPECT_EQ(settings.server.max_connections, defaults.server.max_connections);
    EXPECT_EQ(settings.server.max_request_bytes, defaults.server.max_request_bytes);
    EXPECT_EQ(settings.server.request_memory_bytes, defaults.server.request_memory_bytes);
    EXPECT_EQ(settings.server.body_timeout_s, defaults.server.body_timeout_s);
    EXPECT_EQ(settings.server.min_body_bytes_per_second, defaults.server.min_body_bytes_per_second);
    EXPECT_EQ(settings.model.dtype, defaults.model.dtype);
    EXPECT_EQ(settings.model.max_rolling_batch_size, defaults.model.max_rolling_batch_size);
    EXPECT_EQ(settings.model.job_queue_size, defaults.model.job_queue_size);
    EXPECT_EQ(settings.model.predict_timeout_s, defaults.model.predict_timeout_s);
    EXPECT_EQ(settings.model.chunked_read_timeout_s, defaults.model.chunked_read_timeout_s);
    EXPECT_EQ(settings.server.drain_timeout_s, defaults.server.drain_timeout_s);
    EXPECT_EQ(settings.model.enable_streaming, defaults.model.enable_streaming);
  }
}

TEST(SettingsTest, NoTwoKeysShareAName) {
  std::set<std::string_view> properties;
  std::set<std::string_view> flags;
  for (const Setting& setting : SettingTable()) {
    EXPECT_TRUE(properties.insert(setting.property).second) << setting.property;
    // A secret has no flag: command lines can be seen by all users of a machine.
    EXPECT_TRUE(setting.flag.empty() || flags.insert(setting.flag).second) << setting.flag;
    EXPECT_FALSE(setting.doc.empty());
  }
}

TEST(SettingsTest, EachSourceGoesOverTheOnesBelow) {
  SettingSources sources;
  EXPECT_EQ(Load(sources).settings.model.job_queue_size, 1000);
  sources.config_properties = {{"job_queue_size", "1"}};
  EXPECT_EQ(Load(sources).settings.model.job_queue_size, 1);
  sources.environment = {{"MAX_CONCURRENT_REQUESTS", "2"}};
  EXPECT_EQ(Load(sources).settings.model.job_queue_size, 2);
  sources.environment["SERVING_JOB_QUEUE_SIZE"] = "3";
  EXPECT_EQ(Load(sources).settings.model.job_queue_size, 3);
  sources.serving_properties = {{"job_queue_size", "4"}};
  EXPECT_EQ(Load(sources).settings.model.job_queue_size, 4);
  sources.flags = {{"job-queue-size", "5"}};
  EXPECT_EQ(Load(sources).settings.model.job_queue_size, 5);
}

TEST(SettingsTest, ReadsAUsualServingProperties) {
  const LoadedSettings loaded = Load(File({{"engine", "MPI"},
                                           {"option.model_id", "/opt/ml/model"},
                                           {"option.rolling_batch", "auto"},
                                           {"option.tensor_parallel_degree", "1"},
                                           {"option.max_rolling_batch_size", "64"},
                                           {"option.data_type", "float16"},
                                           {"option.output_formatter", "sse"},
                                           {"option.n_positions", "512"},
                                           {"option.kv_cache_bytes", "2GiB"},
                                           {"option.task", "text-generation"}}));
  EXPECT_EQ(loaded.warnings, std::vector<std::string>{});
  EXPECT_EQ(loaded.settings.model.dtype, kernels::WeightFormat::kF16);
  EXPECT_EQ(loaded.settings.model.max_rolling_batch_size, 64);
  EXPECT_EQ(loaded.settings.model.max_model_len, 512);
  EXPECT_EQ(loaded.settings.model.kv_cache_bytes, int64_t{2} << 30);
  EXPECT_EQ(loaded.settings.model.output_formatter, OutputFormat::kServerSentEvents);
  EXPECT_EQ(loaded.settings.model.model_id, "/opt/ml/model");
}

TEST(SettingsTest, MemoryOfWeightsAsANumberOrAsAcceleratesDevice) {
  const auto limit = [](const std::string& value) {
    return Load(File({{"option.max_memory", value}})).settings.model.max_memory_bytes;
  };
  EXPECT_EQ(limit("8GiB"), int64_t{8} << 30);
  EXPECT_EQ(limit("0"), 0);
  EXPECT_EQ(limit(R"({"cpu": "10GiB"})"), int64_t{10} << 30);
  EXPECT_EQ(limit(R"({"cpu": 5000})"), 5000);
  for (const char* value : {R"({"0": "10GiB"})", R"({"cpu": "10GiB", "0": "1GiB"})",
                            R"({"cpu": -1})", R"({"cpu": "much"})", R"({"cpu")", "half", "-1"}) {
    const std::string error = ErrorOf(File({{"option.max_memory", value}}));
    EXPECT_NE(error.find("option.max_memory"), std::string::npos) << error;
    EXPECT_NE(error.find("bytes"), std::string::npos) << error;
  }
  const auto loaded =
      Load(File({{"option.offload_folder", "/disk"}, {"option.artifact_memory", "copy"}}));
  EXPECT_EQ(loaded.settings.model.offload_dir, "/disk");
  EXPECT_EQ(loaded.settings.model.artifact_memory, engine::ArtifactMemory::kCopy);
  EXPECT_NE(ErrorOf(File({{"option.artifact_memory", "disk"}})).find("auto, map or copy"),
            std::string::npos);
}

TEST(SettingsTest, EchoIsAnEngineOfItsOwn) {
  const LoadedSettings loaded = Load(File({{"engine", "Echo"}, {"option.echo_interval", "20"}}));
  EXPECT_EQ(loaded.settings.model.engine, EngineKind::kEcho);
  EXPECT_EQ(loaded.settings.model.echo_interval_ms, 20);
  EXPECT_EQ(loaded.notes, std::vector<std::string>{});
  EXPECT_EQ(Load(File({{"engine", "Python"}})).settings.model.engine, EngineKind::kModel);
  // Other keys do not choose it.
  EXPECT_NE(ErrorOf(File({{"option.rolling_batch", "Echo"}})), "");
}

TEST(SettingsTest, TheAnswersShapeIsTheHandlersUnlessItIsGiven) {
  EXPECT_EQ(Load(File({})).settings.model.answer_shape, AnswerShape::kTokens);
  EXPECT_EQ(Load(File({{"engine", "DeepSpeed"}})).settings.model.answer_shape, AnswerShape::kList);
  EXPECT_EQ(Load(File({{"engine", "DeepSpeed"}, {"option.rolling_batch", "auto"}}))
                .settings.model.answer_shape,
            AnswerShape::kPieces);
  EXPECT_EQ(Load(File({{"engine", "DeepSpeed"}, {"option.answer_shape", "tokens"}}))
                .settings.model.answer_shape,
            AnswerShape::kTokens);
  EXPECT_EQ(
      ErrorOf(File({{"option.answer_shape", "0.23"}})),
      "serving.properties: option.answer_shape is \"0.23\"; it must be one of pipeline, list, "
      "pieces, text, tokens, async");
}

TEST(SettingsTest, ReadsTheEnvironment) {
  const LoadedSettings loaded = Load(Env({{"HF_MODEL_ID", "/m/gpt2/"},
                                          {"OPTION_DTYPE", "bf16"},
                                          {"SERVING_MAX_REQUEST_SIZE", "1000"},
                                          {"SAGEMAKER_BIND_TO_PORT", "9000"},
                                          {"PREDICT_TIMEOUT", "7"},
                                          {"OPTION_ENGINE", "Python"},
                                          {"OPTION_ENTRYPOINT", "djl_python.huggingface"},
                                          {"TENSOR_PARALLEL_DEGREE", "max"},
                                          {"PATH", "/bin"}}));
  EXPECT_EQ(loaded.warnings, std::vector<std::string>{});
  EXPECT_EQ(loaded.settings.model.dtype, kernels::WeightFormat::kBF16);
  EXPECT_EQ(loaded.settings.server.max_request_bytes, 1000);
  EXPECT_EQ(loaded.settings.server.inference_address.port, 9000);
  EXPECT_EQ(loaded.settings.model.predict_timeout_s, 7);
  EXPECT_EQ(loaded.settings.model.model_id, "/m/gpt2/");
}

TEST(SettingsTest, DegreesAreNumbersOrMax) {
  EXPECT_EQ(Load(File({})).settings.model.tensor_parallel_degree, 1);
  EXPECT_EQ(
      Load(File({{"option.tensor_parallel_degree", "4"}})).settings.model.tensor_parallel_degree,
      4);
  SettingSources sources = Env({{"TENSOR_PARALLEL_DEGREE", "2"}});
  EXPECT_EQ(Load(sources).settings.model.tensor_parallel_degree, 2);
  sources.flags = {{"tensor-parallel-degree", "max"}};
  EXPECT_EQ(Load(sources).settings.model.tensor_parallel_degree,
            engine::LoadModelOptions::kMaxDegree);
  sources.environment["PIPELINE_PARALLEL_DEGREE"] = "3";
  EXPECT_EQ(Load(sources).settings.model.pipeline_parallel_degree, 3);
  for (const char* wrong : {"0", "-1", "many", "2.5", ""}) {
    EXPECT_EQ(ErrorOf(File({{"option.tensor_parallel_degree", wrong}})),
              "serving.properties: option.tensor_parallel_degree is \"" + std::string(wrong) +
                  "\"; it must be a whole number from 1 to 1024, or max");
  }
}

TEST(SettingsTest, AddressesMayBeWholeOrInParts) {
  SettingSources sources = Env({{"SERVING_INFERENCE_ADDRESS", "http://0.0.0.0:8085"}});
  EXPECT_EQ(Load(sources).settings.server.inference_address.host, "0.0.0.0");
  EXPECT_EQ(Load(sources).settings.server.inference_address.port, 8085);
  sources.flags = {{"port", "0"}};
  EXPECT_EQ(Load(sources).settings.server.inference_address.host, "0.0.0.0");
  EXPECT_EQ(Load(sources).settings.server.inference_address.port, 0);
  sources.flags = {{"inference-address", "http://[::1]:80/"}};
  EXPECT_EQ(Load(sources).settings.server.inference_address.host, "::1");
  EXPECT_EQ(Load(sources).settings.server.inference_address.port, 80);
  EXPECT_EQ(ToString(Load(sources).settings.server.inference_address), "http://[::1]:80");
  sources.flags = {{"inference-address", "https://0.0.0.0"}};
  EXPECT_EQ(ToString(Load(sources).settings.server.inference_address), "https://0.0.0.0:8443");
  sources.flags = {{"management-address", "unix:/run/dray.sock"}};
  EXPECT_EQ(ToString(*Load(sources).settings.server.management_address), "unix:/run/dray.sock");
  for (const char* wrong :
       {"ftp://a:1", "a:1", "http://", "http://:1", "unix:", "unix:here", "http://a/b"}) {
    sources.flags = {{"inference-address", wrong}};
    EXPECT_EQ(ErrorOf(sources),
              fmt::format("--inference-address is \"{}\"; it must be http://HOST:PORT, "
                          "https://HOST:PORT or unix:/PATH",
                          wrong));
  }
  sources.flags = {{"inference-address", "http://a:99999"}};
  EXPECT_EQ(ErrorOf(sources),
            "--inference-address is \"http://a:99999\"; it must be a whole number from 0 to 65535");
}

TEST(SettingsTest, WrongValuesAreNamedWithTheirSource) {
  EXPECT_EQ(ErrorOf(File({{"option.dtype", "fp12"}})),
            "serving.properties: option.dtype is \"fp12\"; it must be one of auto, fp32, fp16, "
            "bf16, int8, "
            "int4");
  EXPECT_EQ(ErrorOf(Env({{"OPTION_MAX_ROLLING_BATCH_SIZE", "0"}})),
            "environment: OPTION_MAX_ROLLING_BATCH_SIZE is \"0\"; it must be a whole number from 1 "
            "to 65536");
  EXPECT_EQ(ErrorOf(File({{"option.kv_cache_bytes", "9999999999T"}})).substr(0, 55),
            "serving.properties: option.kv_cache_bytes is \"999999999");
  EXPECT_EQ(ErrorOf(File({{"option.kv_cache_dtype", "f8_e5m2"}})),
            "serving.properties: option.kv_cache_dtype is \"f8_e5m2\"; processors do not compute "
            "with 8-bit floats; int8 takes the same memory");
  EXPECT_EQ(ErrorOf(File({{"option.kv_cache_dtype", "q4_0"}})),
            "serving.properties: option.kv_cache_dtype is \"q4_0\"; it must be one of auto, fp32, "
            "fp16, bf16, int8");
}

TEST(SettingsTest, CacheTypesHaveTheNamesOfOtherServers) {
  for (const char* name : {"int8", "i8", "u8", "q8", "q8_0"}) {
    EXPECT_EQ(Load(File({{"option.kv_cache_dtype", name}})).settings.model.kv_cache_dtype,
              DType::kI8);
  }
  EXPECT_EQ(Load(File({{"option.kv_cache_dtype", "f16"}})).settings.model.kv_cache_dtype,
            DType::kF16);
  EXPECT_EQ(Load(File({{"option.kv_cache_dtype", "bfloat16"}})).settings.model.kv_cache_dtype,
            DType::kBF16);
}

TEST(SettingsTest, UnknownKeysAreErrorsOrNamedWarnings) {
  EXPECT_EQ(
      ErrorOf(File({{"option.max_rolling_batch_sze", "1"}})),
      "serving.properties: option.max_rolling_batch_sze is no setting that dray knows; did you "
      "mean option.max_rolling_batch_size?");
  EXPECT_EQ(Load(File({{"my_argument", "1"}})).warnings,
            std::vector<std::string>{
                "serving.properties: my_argument is no setting that dray knows; it has no effect"});
  EXPECT_EQ(Load(Env({{"OPTION_FOO", "1"}})).warnings,
            std::vector<std::string>{
                "environment: OPTION_FOO is no setting that dray knows; it has no effect"});
  EXPECT_EQ(Load(File({{"option.device_map", "balanced"}})).warnings.size(), 1U);
  EXPECT_EQ(Load(File({{"option.trust_remote_code", "true"}})).warnings,
            std::vector<std::string>{
                "serving.properties: option.trust_remote_code is \"true\", which has "
                "no effect: dray never runs code out of a model's folder"});
  EXPECT_EQ(
      Load(File({{"max_request_size", "1"}})).warnings,
      std::vector<std::string>{
          "serving.properties: max_request_size is a setting of the server, not of a model; use "
          "--max-request-size or SERVING_MAX_REQUEST_SIZE"});
}

TEST(SettingsTest, WhatCannotBeServedIsRefused) {
  EXPECT_EQ(ErrorOf(File({{"engine", "OnnxRuntime"}})),
            "serving.properties: engine is \"OnnxRuntime\", which cannot be served: dray serves "
            "transformer language models only; remove it, or set it to Python");
  EXPECT_EQ(ErrorOf(File({{"option.entryPoint", "model.py"}})),
            "serving.properties: option.entryPoint is \"model.py\", which cannot be served: "
            "handlers in Python are not in this build; remove it, or set it to "
            "djl_python.huggingface");
}

TEST(SettingsTest, ContradictionsAreErrors) {
  EXPECT_EQ(Load(File({{"batch_size", "4"}})).settings.model.batch_size, 4);
  EXPECT_EQ(
      ErrorOf(File({{"option.dtype", "fp16"}, {"option.data_type", "bf16"}})),
      "serving.properties: option.data_type is \"bf16\", but serving.properties: option.dtype is "
      "\"fp16\"; they mean the same; remove one");
}

TEST(SettingsTest, SecretsAreInNoError) {
  const std::pair<const char*, const char*> kSpellings[] = {
      {"SERVING_API_KEY", "SERVING_api_key"},
      {"SERVING_MANAGEMENT_API_KEY", "SERVING_management_api_key"},
      {"SERVING_KEYSTORE_PASS", "SERVING_keystore_pass"}};
  for (const auto& [upper, lower] : kSpellings) {
    EXPECT_EQ(ErrorOf(Env({{upper, "opensesame"}, {lower, "sesame"}})),
              fmt::format("environment: {} is a secret, but environment: {} is a secret; they mean "
                          "the same; remove one",
                          upper, lower));
  }
}

TEST(SettingsTest, TheDocumentationHasEveryKey) {
  const auto text = ReadFile(SourceDir() / "docs/configuration.md", 1 << 20);
  ASSERT_TRUE(text.ok()) << text.status().message();
  for (const Setting& setting : SettingTable()) {
    const std::string flag = setting.flag.empty() ? "" : fmt::format("`--{}`", setting.flag);
    const std::string row = fmt::format("| `{}` | {} |", setting.property, flag);
    EXPECT_NE(text->find(row), std::string::npos) << row;
  }
}

}  // namespace
}  // namespace dray::settings
