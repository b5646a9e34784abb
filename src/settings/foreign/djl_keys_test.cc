// Every key and variable that DJLServing 0.36 documents, row by row: the value that it sets, or that it is answered by
// name. What the answers say is tested in foreign_settings_test.cc.
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "settings/foreign/environment_names.h"
#include "settings/foreign/foreign_settings.h"
#include "settings/foreign/key_search.h"
#include "settings/foreign/words.h"
#include "settings/load_settings.h"

namespace dray::settings {
namespace {

Settings Load(const SettingSources& sources) {
  const auto loaded = LoadSettings(sources);
  EXPECT_TRUE(loaded.ok()) << loaded.status().message();
  if (!loaded.ok()) return {};
  EXPECT_EQ(loaded->warnings, std::vector<std::string>{});
  return loaded->settings;
}

// A key, what it is set to, and the number that this makes.
struct NumberRow {
  const char* key;
  const char* value;
  std::function<int64_t(const Settings&)> field;
  int64_t by_default;
  int64_t set;
};

const std::vector<NumberRow>& ModelRows() {
  static const std::vector<NumberRow> kRows = {
      {"job_queue_size", "5", [](const auto& s) { return s.model.job_queue_size; }, 1000, 5},
      {"batch_size", "4", [](const auto& s) { return s.model.batch_size; }, 1, 4},
      {"max_dynamic_batch_size", "4", [](const auto& s) { return s.model.batch_size; }, 1, 4},
      {"max_batch_delay", "7", [](const auto& s) { return s.model.max_batch_delay_ms; }, 100, 7},
      {"max_idle_time", "9", [](const auto& s) { return s.model.max_idle_time_s; }, 60, 9},
      {"minWorkers", "2", [](const auto& s) { return s.model.workers.min_workers; }, 0, 2},
      {"maxWorkers", "3", [](const auto& s) { return s.model.workers.max_workers; }, 0, 3},
      {"cpu.minWorkers", "2", [](const auto& s) { return s.model.workers.cpu_min_workers; }, 0, 2},
      {"cpu.maxWorkers", "3", [](const auto& s) { return s.model.workers.cpu_max_workers; }, 0, 3},
      {"required_memory_mb", "8", [](const auto& s) { return s.model.required_memory_mb; }, 0, 8},
      {"reserved_memory_mb", "8", [](const auto& s) { return s.model.reserved_memory_mb; }, 500, 8},
      {"retry_threshold", "3", [](const auto& s) { return s.model.retry_threshold; }, 0, 3},
      {"option.predict_timeout", "7", [](const auto& s) { return s.model.predict_timeout_s; }, 120,
       7},
      {"option.tensor_parallel_degree", "2",
       [](const auto& s) { return s.model.tensor_parallel_degree; }, 1, 2},
      {"option.pipeline_parallel_degree", "2",
       [](const auto& s) { return s.model.pipeline_parallel_degree; }, 1, 2},
      {"option.max_rolling_batch_size", "8",
       [](const auto& s) { return s.model.max_rolling_batch_size; }, 32, 8},
      {"option.max_rolling_batch_prefill_tokens", "512",
       [](const auto& s) { return s.model.max_rolling_batch_prefill_tokens; }, 0, 512},
      {"option.max_model_len", "99", [](const auto& s) { return s.model.max_model_len; }, 0, 99},
      {"option.max_tokens", "99", [](const auto& s) { return s.model.max_model_len; }, 0, 99},
      {"option.n_positions", "99", [](const auto& s) { return s.model.max_model_len; }, 0, 99},
      {"option.enable_streaming", "true", [](const auto& s) { return s.model.enable_streaming; }, 0,
       1},
      {"option.enable_streaming", "huggingface",
       [](const auto& s) { return s.model.enable_streaming; }, 0, 1},
      {"option.tgi_compat", "true", [](const auto& s) { return s.model.tgi_compat; }, 0, 1},
      {"option.enable_stateful_sessions", "false",
       [](const auto& s) { return s.model.stateful_sessions; }, 1, 0},
      {"option.sessions_expiration", "5",
       [](const auto& s) { return s.model.sessions_expiration_s; }, 1200, 5},
      {"option.modelName", "gpt", [](const auto& s) { return s.model.model_name == "gpt"; }, 0, 1},
      {"option.model_id", "/m", [](const auto& s) { return s.model.model_id == "/m"; }, 0, 1},
      {"option.entryPoint", "djl_python.huggingface",
       [](const auto& s) { return s.model.has_built_in_handler; }, 0, 1},
      {"option.speculative_draft_model", "/d",
       [](const auto& s) { return s.model.speculation.draft_model == "/d"; }, 0, 1},
      {"option.output_formatter", "sse",
       [](const auto& s) { return s.model.output_formatter == OutputFormat::kServerSentEvents; }, 0,
       1},
      {"option.output_formatter", "jsonlines",
       [](const auto& s) { return s.model.output_formatter == OutputFormat::kJsonLines; }, 0, 1},
  };
  return kRows;
}

const std::vector<NumberRow>& ServerRows() {
  static const std::vector<NumberRow> kRows = {
      {"inference_address", "http://0.0.0.0:81",
       [](const auto& s) { return s.server.inference_address.port; }, 8080, 81},
      {"management_address", "http://0.0.0.0:82",
       [](const auto& s) {
         return s.server.management_address ? s.server.management_address->port : 0;
       },
       0, 82},
      {"model_store", "/s", [](const auto& s) { return s.server.model_store == "/s"; }, 0, 1},
      {"load_models", "NONE", [](const auto& s) { return s.server.load_models == "NONE"; }, 0, 1},
      {"model_url_pattern", "file:.*",
       [](const auto& s) { return s.server.model_url_pattern == "file:.*"; }, 0, 1},
      {"wait_model_loading", "false", [](const auto& s) { return s.server.wait_model_loading; }, 1,
       0},
      {"allow_multi_status", "true", [](const auto& s) { return s.server.allow_multi_status; }, 0,
       1},
      {"number_of_netty_threads", "5", [](const auto& s) { return s.server.http_threads; },
       Settings().server.http_threads, 5},
      {"max_request_size", "1000", [](const auto& s) { return s.server.max_request_bytes; },
       67108864, 1000},
      {"chunked_read_timeout", "5", [](const auto& s) { return s.model.chunked_read_timeout_s; },
       120, 5},
      {"cors_allowed_origin", "*",
       [](const auto& s) { return s.server.cors.allowed_origin == "*"; }, 0, 1},
      {"cors_allowed_methods", "GET",
       [](const auto& s) { return s.server.cors.allowed_methods == "GET"; }, 0, 1},
      {"cors_allowed_headers", "X-A",
       [](const auto& s) { return s.server.cors.allowed_headers == "X-A"; }, 0, 1},
      {"keystore", "/k", [](const auto& s) { return s.server.tls.keystore == "/k"; }, 0, 1},
      {"keystore_pass", "p", [](const auto& s) { return s.server.tls.keystore_pass == "p"; }, 0, 1},
      {"certificate_file", "/c",
       [](const auto& s) { return s.server.tls.certificate_file == "/c"; }, 0, 1},
      {"private_key_file", "/p",
       [](const auto& s) { return s.server.tls.private_key_file == "/p"; }, 0, 1},
      {"bad_request_http_code", "422",
       [](const auto& s) { return s.server.errors.bad_request_status; }, 400, 422},
      {"wlm_error_http_code", "530", [](const auto& s) { return s.server.errors.wlm_status; }, 503,
       530},
      {"throttle_error_http_code", "429",
       [](const auto& s) { return s.server.errors.throttle_status; }, 503, 429},
      {"server_error_http_code", "502", [](const auto& s) { return s.server.errors.server_status; },
       500, 502},
      {"error_rate_wlm", "4", [](const auto& s) { return s.server.errors.wlm_rate.has_value(); }, 0,
       1},
      {"error_rate_server", "4",
       [](const auto& s) { return s.server.errors.server_rate.has_value(); }, 0, 1},
      {"error_rate_any", "4", [](const auto& s) { return s.server.errors.any_rate.has_value(); }, 0,
       1},
      {"request_id_header_key", "x-id",
       [](const auto& s) { return s.server.request_id_header == "x-id"; }, 0, 1},
      {"prometheus", "false", [](const auto& s) { return s.server.metrics_page; }, 1, 0},
      {"memory_cache_capacity", "9", [](const auto& s) { return s.server.max_kept_answers; }, 1000,
       9},
      {"health_check_override", "true",
       [](const auto& s) { return s.server.health_check_override; }, 0, 1},
      {"fail_fast", "true", [](const auto& s) { return s.server.fail_fast; }, 0, 1},
      {"download_dir", "/d", [](const auto& s) { return s.server.unpack_dir == "/d"; }, 0, 1},
  };
  return kRows;
}

// The variable that stands for the key.
std::string VariableOf(const std::string& key) {
  std::string name = key.starts_with("option.") ? "OPTION_" + key.substr(7) : "SERVING_" + key;
  for (char& c : name) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return name;
}

TEST(DjlKeysTest, AModelsKeysSetItsSettings) {
  for (const NumberRow& row : ModelRows()) {
    EXPECT_EQ(row.field(Load({})), row.by_default) << row.key;
    SettingSources file;
    file.serving_properties[row.key] = row.value;
    EXPECT_EQ(row.field(Load(file)), row.set) << row.key;
    SettingSources environment;
    environment.environment[VariableOf(row.key)] = row.value;
    EXPECT_EQ(row.field(Load(environment)), row.set) << row.key;
    SettingSources registration;
    registration.registration[row.key] = row.value;
    EXPECT_EQ(row.field(Load(registration)), row.set) << row.key;
  }
}

TEST(DjlKeysTest, TheServersKeysSetItsSettings) {
  for (const NumberRow& row : ServerRows()) {
    EXPECT_EQ(row.field(Load({})), row.by_default) << row.key;
    SettingSources file;
    file.config_properties[row.key] = row.value;
    EXPECT_EQ(row.field(Load(file)), row.set) << row.key;
    SettingSources environment;
    environment.environment[VariableOf(row.key)] = row.value;
    EXPECT_EQ(row.field(Load(environment)), row.set) << row.key;
    // The variable goes over the file.
    environment.config_properties[row.key] = row.value;
    EXPECT_EQ(row.field(Load(environment)), row.set) << row.key;
  }
}

TEST(DjlKeysTest, ServingPropertiesGoOverTheEnvironment) {
  SettingSources sources;
  sources.environment["OPTION_MAX_ROLLING_BATCH_SIZE"] = "5";
  EXPECT_EQ(Load(sources).model.max_rolling_batch_size, 5);
  sources.serving_properties["option.max_rolling_batch_size"] = "6";
  EXPECT_EQ(Load(sources).model.max_rolling_batch_size, 6);
  sources.registration["option.max_rolling_batch_size"] = "7";
  EXPECT_EQ(Load(sources).model.max_rolling_batch_size, 7);
}

// The engines that DJLServing's containers batch with compute more sequences together than the others.
TEST(DjlKeysTest, TheEngineDecidesHowManySequencesAreComputedTogether) {
  const auto batch_with = [](const Properties& properties) {
    SettingSources sources;
    sources.serving_properties = properties;
    const auto loaded = LoadSettings(sources);
    EXPECT_TRUE(loaded.ok()) << loaded.status().message();
    return loaded.ok() ? loaded->settings.model.max_rolling_batch_size : 0;
  };
  for (const char* engine : {"vllm", "trtllm", "lmi-dist"}) {
    EXPECT_EQ(batch_with({{"option.rolling_batch", engine}}), 256) << engine;
    EXPECT_EQ(batch_with({{"option.rolling_batch", engine}, {"option.max_num_seqs", "32"}}), 32);
  }
  for (const char* engine : {"auto", "scheduler", "disable"}) {
    EXPECT_EQ(batch_with({{"option.rolling_batch", engine}}), 32) << engine;
  }
  SettingSources environment;
  environment.environment = {{"OPTION_ROLLING_BATCH", "vllm"}, {"MAX_BATCH_SIZE", "7"}};
  EXPECT_EQ(LoadSettings(environment)->settings.model.max_rolling_batch_size, 7);
}

// Keys that set nothing here.
constexpr const char* kOtherKeys[] = {"engine",
                                      "gpu.minWorkers",
                                      "gpu.maxWorkers",
                                      "nc.minWorkers",
                                      "nc.maxWorkers",
                                      "load_on_devices",
                                      "gpu.required_memory_mb",
                                      "gpu.reserved_memory_mb",
                                      "log_model_metric",
                                      "log_request_metric",
                                      "metrics_aggregation",
                                      "translator",
                                      "translatorFactory",
                                      "application",
                                      "batchifier",
                                      "option.pythonExecutable",
                                      "option.handler",
                                      "option.env",
                                      "option.model_loading_timeout",
                                      "option.parallel_loading",
                                      "option.mpi_mode",
                                      "option.enable_venv",
                                      "option.async_mode",
                                      "option.use_passive_workers",
                                      "option.s3url",
                                      "option.model_dir",
                                      "option.revision",
                                      "option.task",
                                      "option.dtype",
                                      "option.data_type",
                                      "option.device_map",
                                      "option.load_in_8bit",
                                      "option.load_in_4bit",
                                      "option.low_cpu_mem_usage",
                                      "option.trust_remote_code",
                                      "option.enable_cuda_graph",
                                      "option.triangular_masking",
                                      "option.return_tuple",
                                      "option.training_mp_size",
                                      "option.checkpoint",
                                      "option.save_mp_checkpoint_path",
                                      "option.deepspeed_config_path",
                                      "option.rolling_batch",
                                      "option.decoding_strategy",
                                      "option.quantize",
                                      "option.paged_attention",
                                      "option.unroll",
                                      "option.amp",
                                      "option.waiting_steps",
                                      "option.max_input_len",
                                      "option.max_output_len",
                                      "option.max_num_tokens",
                                      "option.tokens_per_block",
                                      "option.batch_scheduler_policy",
                                      "option.kv_cache_free_gpu_mem_fraction",
                                      "option.use_custom_all_reduce",
                                      "option.bedrock_compat",
                                      "option.gpu_memory_utilization",
                                      "option.enforce_eager",
                                      "option.enable_lora",
                                      "option.max_loras",
                                      "option.max_lora_rank",
                                      "option.sessions_path",
                                      "option.chat_template",
                                      "option.enable_auto_tool_choice",
                                      "option.tool_call_parser",
                                      "option.reasoning_parser",
                                      "option.lmcache_auto_config",
                                      "option.max_output_size",
                                      "cluster_address",
                                      "keystore_type",
                                      "plugin_folder",
                                      "use_native_io",
                                      "io_ratio",
                                      "error_rate_model",
                                      "timeout_http_code",
                                      "rolling_batch_buffer",
                                      "cache_batch",
                                      "cache_multitenant",
                                      "features",
                                      "opts"};

// None of them is taken for a typing error.
TEST(DjlKeysTest, EveryOtherKeyIsAnswered) {
  for (const char* key : kOtherKeys) {
    EXPECT_TRUE(FindSetting(key) != nullptr || FindForeignSetting(key)) << key;
  }
}

constexpr const char* kVariables[] = {"SERVING_OPTS",
                                      "JAVA_OPTS",
                                      "DEFAULT_JVM_OPTS",
                                      "MODEL_SERVER_HOME",
                                      "SERVING_DOWNLOAD_DIR",
                                      "SERVING_FEATURES",
                                      "SERVING_PROMETHEUS",
                                      "SERVING_RETRY_THRESHOLD",
                                      "SERVING_ROLLING_BATCH_BUFFER",
                                      "SERVING_FAIL_FAST",
                                      "SERVING_HEALTH_CHECK_OVERRIDE",
                                      "SERVING_MEMORY_CACHE_CAPACITY",
                                      "SERVING_CACHE_BATCH",
                                      "SERVING_CACHE_MULTITENANT",
                                      "SERVING_MIN_WORKERS",
                                      "SERVING_MAX_WORKERS",
                                      "DJL_CACHE_DIR",
                                      "OMP_NUM_THREADS",
                                      "NO_OMP_NUM_THREADS",
                                      "MAX_NETTY_BUFFER_SIZE",
                                      "DJL_OFFLINE",
                                      "OPT_OUT_TRACKING",
                                      "HF_MODEL_ID",
                                      "HF_REVISION",
                                      "HF_TASK",
                                      "HF_TOKEN",
                                      "HF_MODEL_TRUST_REMOTE_CODE",
                                      "HF_TRUST_REMOTE_CODE",
                                      "HF_MODEL_QUANTIZE",
                                      "SM_NUM_GPUS",
                                      "MAX_CONCURRENT_REQUESTS",
                                      "MAX_BATCH_PREFILL_TOKENS",
                                      "MAX_BATCH_SIZE",
                                      "ENABLE_CUDA_GRAPHS",
                                      "CUDA_MEMORY_FRACTION",
                                      "SAGEMAKER_MULTI_MODEL",
                                      "SAGEMAKER_HEALTH_CHECK_OVERRIDE",
                                      "SAGEMAKER_NUM_MODEL_WORKERS",
                                      "SAGEMAKER_STARTUP_TIMEOUT",
                                      "SAGEMAKER_MODEL_SERVER_TIMEOUT_SECONDS",
                                      "SAGEMAKER_MAX_REQUEST_SIZE",
                                      "SAGEMAKER_MAX_PAYLOAD_IN_MB",
                                      "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT",
                                      "SAGEMAKER_MODEL_SERVER_VMARGS",
                                      "SAGEMAKER_SECURE_MODE",
                                      "SAGEMAKER_SECURITY_CONTROLS",
                                      "SAGEMAKER_UNTRUSTED_CHANNELS",
                                      "SAGEMAKER_BIND_TO_PORT",
                                      "ALLOW_REQUEST_HANDLER_OVERRIDE",
                                      "DJL_CLUSTER_SIZE",
                                      "DJL_LEADER_ADDR",
                                      "DJL_WORKER_ADDR_FORMAT",
                                      "MASTER_ADDR",
                                      "PYTHON_EXECUTABLE",
                                      "DJL_ENTRY_POINT",
                                      "PREDICT_TIMEOUT",
                                      "MODEL_LOADING_TIMEOUT",
                                      "TENSOR_PARALLEL_DEGREE",
                                      "PIPELINE_PARALLEL_DEGREE",
                                      "DJL_VENV_DIR"};

TEST(DjlKeysTest, EveryVariableIsKnown) {
  const auto is_known = [](std::string_view name) {
    if (const std::string key = PropertyOfVariable(name); !key.empty()) {
      return FindSetting(key) != nullptr || FindForeignSetting(key).has_value();
    }
    for (const EnvironmentVariable& variable : EnvironmentVariables()) {
      if (variable.name == name) return true;
    }
    for (const ForeignSetting& variable : VariableSettings()) {
      if (variable.property == name) return true;
    }
    for (const Setting& setting : SettingTable()) {
      if (ListHolds(setting.environment, name)) return true;
    }
    return false;
  };
  for (const char* name : kVariables) {
    EXPECT_TRUE(is_known(name)) << name;
  }
}

}  // namespace
}  // namespace dray::settings
