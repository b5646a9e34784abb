// What an operator can set, as typed values: of the server, and of a model that it serves.
//
// Where the values come from is in load_settings.h, which keys there are in settings_table.h.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>

#include "base/log.h"
#include "base/machine/cpu_info.h"
#include "engine/engine_options.h"
#include "settings/answers/answer_shape.h"
#include "settings/answers/output_format.h"
#include "settings/answers/task.h"
#include "settings/number_formats.h"
#include "settings/quantization_settings.h"
#include "settings/server/error_settings.h"
#include "settings/server/listen_address.h"
#include "settings/speculation_settings.h"

namespace dray::settings {

// The files of a server's certificate and key (http/transport/tls_context.h).
struct TlsSettings {
  std::string certificate_file;
  std::string private_key_file;
  std::string keystore;
  std::string keystore_pass = "changeit";
};

// What every answer says about pages of other origins; "": nothing.
struct CorsSettings {
  std::string allowed_origin;
  std::string allowed_methods;
  std::string allowed_headers;
};

// Keys that clients must show (http/auth/api_keys.h). A key, and a file with one key in each line; "": none.
struct KeySettings {
  std::string key;
  std::string file;
};

struct ServerSettings {
  ListenAddress inference_address;
  // Absent: management is at the inference address.
  std::optional<ListenAddress> management_address;
  TlsSettings tls;
  CorsSettings cors;
  KeySettings inference_keys;
  KeySettings management_keys;
  bool metrics_page = true;
  bool access_log = false;
  LogFormat log_format = LogFormat::kText;
  int64_t http_threads = std::min(2, UsableCpuCount());
  int64_t max_connections = 1024;
  int64_t max_request_bytes = int64_t{64} << 20;
  int64_t request_memory_bytes = int64_t{512} << 20;
  int64_t body_timeout_s = 300;
  int64_t min_body_bytes_per_second = int64_t{8} << 10;
  bool allow_multi_status = false;
  bool wait_model_loading = true;
  bool fail_unhealthy = false;
  bool health_check_override = false;
  bool fail_fast = false;
  ErrorSettings errors;
  // The models of the start beside the one that the command line names: serving/manager/start_up_models.h.
  std::string model_store;
  std::string load_models = "ALL";
  std::string model_url_pattern;  // "": no request may have a model loaded
  int64_t model_reload_interval_s = 0;
  std::string unpack_dir;           // "": in the folder for temporary files
  int64_t max_kept_answers = 1000;  // that are fetched later; -1: any number
  std::string request_id_header = "x-request-id";
  int64_t drain_timeout_s = 25;
};

// How many workers a model has; 0: not set. The numbers for processors go over the plain ones.
struct WorkerSettings {
  int64_t min_workers = 0;
  int64_t max_workers = 0;
  int64_t cpu_min_workers = 0;
  int64_t cpu_max_workers = 0;
};

// What answers a model's requests.
enum class EngineKind {
  kModel,  // the model in its files
  kEcho,   // no model: each request is answered with its own text (engine/echo/echo_engine.h)
};

struct ModelSettings {
  EngineKind engine = EngineKind::kModel;
  int64_t echo_interval_ms = 0;  // between two tokens of kEcho
  std::string model_id;          // a folder or a .gguf file; "" if none was given
  std::string model_name;  // "": the last part of the model's path (serving/load/model_files.h)
  std::string tokenizer;   // "": beside the model
  // Whether option.entryPoint names a handler that is built into DJLServing, so that a model.py in the
  // model's folder is not used.
  bool has_built_in_handler = false;
  WeightDType dtype;
  QuantizationSettings quantization;
  Task task = Task::kAuto;
  engine::LoadFormat load_format = engine::LoadFormat::kCheckpoint;
  bool forbid_pickle = false;
  bool verify_artifact = true;
  engine::ArtifactMemory artifact_memory = engine::ArtifactMemory::kAuto;
  std::string save_artifact;     // "": nowhere
  int64_t max_memory_bytes = 0;  // for weights; 0: what is free
  std::string offload_dir;       // "": none

  // Its engine. 0: the engine's own default.
  int64_t threads = 0;
  int64_t threads_batch = 0;
  bool pin_threads = true;
  int64_t tensor_parallel_degree = 1;  // engine::LoadModelOptions::kMaxDegree: max
  int64_t pipeline_parallel_degree = 1;
  engine::RankTransport rank_transport = engine::RankTransport::kThreads;
  int64_t rank_timeout_s = 60;
  std::string hostfile;  // "": Open MPI's own
  bool oversubscribe = false;
  int64_t max_model_len = 0;
  int64_t max_rolling_batch_size = 32;
  int64_t max_rolling_batch_prefill_tokens = 0;
  int64_t kv_cache_bytes = 0;
  CacheDType kv_cache_dtype;
  int64_t block_size = 0;
  SpeculationSettings speculation;

  // Its place beside other models.
  WorkerSettings workers;
  int64_t model_loading_timeout_s = 0;  // 0: no limit
  int64_t max_idle_time_s = 60;
  int64_t retry_threshold = 0;
  int64_t max_restarts_per_hour = 100;
  int64_t required_memory_mb = 0;
  int64_t reserved_memory_mb = 500;

  // Its requests.
  int64_t job_queue_size = 1000;
  int64_t batch_size = 1;
  int64_t max_batch_delay_ms = 100;
  int64_t predict_timeout_s = 120;
  int64_t chunked_read_timeout_s = 120;
  OutputFormat output_formatter = OutputFormat::kByRequest;
  bool enable_streaming = false;
  std::optional<AnswerShape> answer_shape;  // LoadSettings decides it: by default the handler's
  // LoadSettings decides it: whether the engine or entry point is FasterTransformer's.
  bool faster_transformer_beams = false;
  bool tgi_compat = false;
  bool stateful_sessions = true;
  int64_t sessions_expiration_s = 1200;
};

struct Settings {
  ServerSettings server;
  ModelSettings model;
};

}  // namespace dray::settings
