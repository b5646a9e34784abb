// What an operator can set, as typed values, and where the values come from: flags,
// serving.properties, the environment (OPTION_*, SERVING_* and a few more names) and
// config.properties. There is one table of known keys; the command line's flags and the
// documentation are made from it.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/parse/properties.h"
#include "base/status.h"
#include "serving/model.h"
#include "serving/quantization_settings.h"
#include "serving/speculation_settings.h"

namespace dray::serving {

struct Settings {
  // The server.
  std::string host = "127.0.0.1";
  uint16_t port = 8080;
  int64_t http_threads = 2;
  int64_t max_connections = 1024;
  int64_t max_request_bytes = int64_t{64} << 20;
  bool allow_multi_status = false;
  std::string request_id_header = "x-request-id";
  int64_t drain_timeout_s = 25;

  // The model.
  std::string model_id;        // a folder; "" if none was given
  std::string model_name;      // "": from model_id, see ModelName
  std::string tokenizer;       // "": beside the model
  std::string dtype = "auto";  // auto, fp32, fp16, bf16, int8 or int4
  QuantizationSettings quantization;
  std::string load_format = "auto";  // auto or dummy
  bool forbid_pickle = false;

  // Its engine. 0: the engine's own default.
  int64_t threads = 0;
  int64_t threads_batch = 0;
  bool pin_threads = true;
  int64_t max_model_len = 0;
  int64_t max_rolling_batch_size = 32;
  int64_t max_rolling_batch_prefill_tokens = 0;
  int64_t kv_cache_bytes = 0;
  std::string kv_cache_dtype = "auto";  // auto, fp32, fp16, bf16 or int8
  int64_t block_size = 0;
  SpeculationSettings speculation;

  // Its requests.
  int64_t job_queue_size = 1000;
  int64_t predict_timeout_s = 120;
  int64_t chunked_read_timeout_s = 120;
  OutputFormat output_formatter = OutputFormat::kByRequest;
  bool enable_streaming = false;
};

// One known key.
struct Setting {
  // As serving.properties ("option.dtype") or config.properties ("max_request_size") spells it.
  std::string_view property;
  // Of `dray serve`, without its dashes.
  std::string_view flag;
  // What stands for the value in help texts: "N", "FOLDER", ...
  std::string_view value;
  std::string_view default_text;
  std::string_view doc;
  // kServer keys mean nothing in a model's serving.properties.
  enum class Scope { kServer, kModel } scope;
  // Other spellings of `property`, and environment variables beside the derived one, by spaces.
  std::string_view aliases;
  std::string_view environment;
  // The error says what the value must be; the caller says which key and where.
  Status (*set)(Settings& settings, std::string_view value);
};

std::span<const Setting> SettingTable();
// "OPTION_DTYPE" for "option.dtype", "SERVING_JOB_QUEUE_SIZE" for "job_queue_size".
std::string EnvironmentName(std::string_view property);

// Where values come from; each goes over those above it.
struct SettingSources {
  Properties config_properties;
  std::map<std::string, std::string> environment;
  Properties serving_properties;
  // By the flag's name, without dashes.
  std::map<std::string, std::string> flags;
};

struct LoadedSettings {
  Settings settings;
  // Keys that are understood but have no effect here, one sentence each, naming the key
  // and its source.
  std::vector<std::string> warnings;
};

// kInvalidArgument or kUnsupported for the first key that is wrong, unknown or contradictory; the
// message names the key, its source and its value.
Result<LoadedSettings> LoadSettings(const SettingSources& sources);

// This process's environment.
std::map<std::string, std::string> ReadEnvironment();

// `model_name`, or the last part of `model_id`, or "model".
std::string ModelName(const Settings& settings);
// The part of the settings that a Model needs; its end tokens are for the caller to fill in.
ModelOptions MakeModelOptions(const Settings& settings);

}  // namespace dray::serving
