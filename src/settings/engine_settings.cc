#include "settings/engine_settings.h"

#include <fmt/format.h>

#include <chrono>
#include <string_view>
#include <system_error>

namespace dray::settings {
namespace {

namespace fs = std::filesystem;

// A file that settings may name relative to the model's folder.
fs::path LocateFile(const fs::path& model_dir, const fs::path& file) {
  if (!file.is_relative()) return file;
  std::error_code error;
  const bool beside = !fs::exists(file, error) && fs::exists(model_dir / file, error);
  return beside ? model_dir / file : file;
}

Status CheckHostfile(const ModelSettings& settings) {
  if (settings.hostfile.empty()) return OkStatus();
  const auto refused = [&](std::string_view why) {
    return Status(StatusCode::kInvalidArgument,
                  fmt::format("hostfile is \"{}\": {}", settings.hostfile, why));
  };
  if (settings.rank_transport != engine::RankTransport::kMpi) {
    return refused("only ranks over MPI are on several machines; set rank_transport to mpi");
  }
  std::error_code error;
  if (fs::is_regular_file(settings.hostfile, error)) return OkStatus();
  return refused("there is no such file; write a line such as \"node1 slots=2\" for each machine");
}

}  // namespace

Result<engine::LoadModelOptions> MakeLoadModelOptions(const ModelSettings& settings,
                                                      const fs::path& model) {
  DRAY_ASSIGN_OR_RETURN(engine::LoadModelOptions load,
                        MakeQuantization(settings.dtype, settings.quantization));
  if (load.smoothing) {
    fs::path& file = load.smoothing->calibration_file;
    file = file.empty() ? model / "calibration.json" : LocateFile(model, file);
  }
  load.int8_cache = settings.kv_cache_dtype == DType::kI8;
  load.model_dir = model;
  kernels::CpuOptions& cpu = load.backend_options.cpu;
  cpu.num_threads = static_cast<int>(settings.threads);
  cpu.num_prompt_threads = static_cast<int>(settings.threads_batch);
  cpu.pin_threads = settings.pin_threads;
  cpu.oversubscribe = settings.oversubscribe;
  load.tensor_parallel_degree = settings.tensor_parallel_degree;
  load.pipeline_parallel_degree = settings.pipeline_parallel_degree;
  load.ranks.transport = settings.rank_transport;
  load.ranks.timeout = std::chrono::seconds(settings.rank_timeout_s);
  DRAY_RETURN_IF_ERROR(CheckHostfile(settings));
  load.ranks.hostfile = settings.hostfile;
  load.forbid_pickle = settings.forbid_pickle;
  load.verify_artifact = settings.verify_artifact;
  load.artifact_memory = settings.artifact_memory;
  load.max_memory_bytes = settings.max_memory_bytes;
  load.load_format = settings.load_format;
  return load;
}

Result<engine::EngineOptions> MakeEngineOptions(const ModelSettings& settings) {
  engine::EngineOptions options;
  DRAY_ASSIGN_OR_RETURN(options.speculation, MakeSpeculation(settings.speculation));
  options.max_sequences = settings.max_rolling_batch_size;
  options.max_context_tokens = settings.max_model_len;
  options.kv_cache_bytes = settings.kv_cache_bytes;
  if (settings.max_rolling_batch_prefill_tokens > 0) {
    options.max_batch_tokens = settings.max_rolling_batch_prefill_tokens;
    options.max_prefill_chunk_tokens = settings.max_rolling_batch_prefill_tokens;
  }
  if (settings.block_size > 0) options.block_size = static_cast<int32_t>(settings.block_size);
  options.kv_dtype = settings.kv_cache_dtype;
  options.max_restarts_per_hour = settings.max_restarts_per_hour;
  return options;
}

engine::EncoderOptions MakeEncoderOptions(const ModelSettings& settings) {
  engine::EncoderOptions options;
  options.max_batch_tokens = settings.max_rolling_batch_prefill_tokens;
  options.kv_dtype = settings.kv_cache_dtype;
  options.forbid_pickle = settings.forbid_pickle;
  options.max_restarts_per_hour = settings.max_restarts_per_hour;
  return options;
}

}  // namespace dray::settings
