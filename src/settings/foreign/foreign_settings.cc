// One row for each key: what its values mean here.
#include "settings/foreign/foreign_settings.h"

#include <fmt/format.h>

#include <algorithm>

#include "settings/foreign/words.h"

namespace dray::settings {
namespace {

using Text = std::string_view;
using Row = ForeignSetting;
using Otherwise = ForeignSetting::Otherwise;

constexpr Text kWorkers = "the build has one kind of device, the processors";
constexpr Text kBackend = kForeignBackend;
constexpr Text kPython = "dray runs no Python";
constexpr Text kBatching = "requests are batched as they come, step by step";
constexpr Text kServer = "dray's server has no such thing";
constexpr Text kDraftRanks = "the ranks of a model also compute its draft model";
constexpr Text kLater = "that is not in this build yet; remove it";

constexpr Row kRows[] = {
    {"option.load_in_8bit", "false", Otherwise::kRefuse,
     "use option.quantize=int8_weight_only in its place"},
    {"option.load_in_4bit", "false", Otherwise::kRefuse,
     "use option.quantize=int4_asym in its place"},
    {"option.handler", "handle", Otherwise::kRefuse,
     "handlers in Python are not in this build; remove it"},
    {"option.enable_lora", "false", Otherwise::kRefuse, kLater},
    {"option.bedrock_compat", "false", Otherwise::kRefuse, kLater},
    {"option.draft_model_tp_size", "1", Otherwise::kWarn, kDraftRanks},
    {"option.speculative_telemetry", "", Otherwise::kWarn, kServer},
    {"option.s3url", "", Otherwise::kRefuse, "use option.model_id in its place"},
    {"option.revision", "", Otherwise::kWarn, "the model is read from a folder as it is there"},
    {"option.trust_remote_code", "false", Otherwise::kWarn,
     "dray never runs code out of a model's folder"},
    {"gpu.minWorkers", "1", Otherwise::kWarn, kWorkers},
    {"gpu.maxWorkers", "1", Otherwise::kWarn, kWorkers},
    {"nc.minWorkers", "1", Otherwise::kWarn, kWorkers},
    {"nc.maxWorkers", "1", Otherwise::kWarn, kWorkers},
    {"load_on_devices", "* cpu -1", Otherwise::kWarn, "the build has one kind of device"},
    {"gpu.required_memory_mb", "0", Otherwise::kWarn, "set required_memory_mb"},
    {"gpu.reserved_memory_mb", "", Otherwise::kWarn, "set reserved_memory_mb"},
    {"log_model_metric", "false", Otherwise::kWarn, kServer},
    {"log_request_metric", "false", Otherwise::kWarn, kServer},
    {"metrics_aggregation", "", Otherwise::kWarn, kServer},
    {"translator", "", Otherwise::kWarn, kServer},
    {"translatorFactory", "", Otherwise::kWarn, kServer},
    {"application", "", Otherwise::kWarn, kServer},
    {"batchifier", "", Otherwise::kWarn, kServer},
    {"option.pythonExecutable", "", Otherwise::kWarn, kPython},
    {"option.env", "", Otherwise::kWarn, kPython},
    {"option.enable_venv", "false", Otherwise::kWarn, kPython},
    {"option.parallel_loading", "", Otherwise::kWarn, kPython},
    {"option.mpi_mode", "", Otherwise::kWarn, kPython},
    {"option.async_mode", "", Otherwise::kWarn, kPython},
    {"option.use_passive_workers", "", Otherwise::kWarn, kPython},
    {"option.model_dir", "", Otherwise::kWarn, "set option.model_id"},
    {"option.device_map", "auto", Otherwise::kWarn, kBackend},
    {"option.low_cpu_mem_usage", "", Otherwise::kWarn, kBackend},
    {"option.enable_cuda_graph", "", Otherwise::kWarn, kBackend},
    {"option.triangular_masking", "true", Otherwise::kWarn, kBackend},
    {"option.return_tuple", "", Otherwise::kWarn, kBackend},
    {"option.training_mp_size", "1", Otherwise::kWarn, kBackend},
    {"option.deepspeed_config_path", "", Otherwise::kWarn, kBackend},
    {"option.checkpoint", "", Otherwise::kWarn, kBackend},
    {"option.decoding_strategy", "greedy", Otherwise::kWarn, "requests choose for themselves"},
    {"option.paged_attention", "true", Otherwise::kWarn, "attention is always paged"},
    {"option.waiting_steps", "", Otherwise::kWarn, kBatching},
    {"option.unroll", "", Otherwise::kWarn, kBackend},
    {"option.amp", "", Otherwise::kWarn, "use option.dtype in its place"},
    {"option.gpu_memory_utilization", "", Otherwise::kWarn,
     "set option.kv_cache_bytes to bound memory"},
    {"option.kv_cache_free_gpu_mem_fraction", "", Otherwise::kWarn,
     "set option.kv_cache_bytes to bound memory"},
    {"option.enforce_eager", "", Otherwise::kWarn, kBackend},
    {"option.max_input_len", "", Otherwise::kWarn, "use option.max_model_len in its place"},
    {"option.max_output_len", "", Otherwise::kWarn, "use option.max_model_len in its place"},
    {"option.max_output_size", "", Otherwise::kWarn, kServer},
    {"option.max_num_tokens", "", Otherwise::kWarn, kBackend},
    {"option.tokens_per_block", "", Otherwise::kWarn, "use option.block_size in its place"},
    {"option.batch_scheduler_policy", "", Otherwise::kWarn, kBackend},
    {"option.use_custom_all_reduce", "", Otherwise::kWarn, kBackend},
    {"option.sessions_path", "", Otherwise::kWarn, kServer},
    {"cluster_address", "", Otherwise::kWarn, kServer},
    {"plugin_folder", "", Otherwise::kWarn, kServer},
    {"use_native_io", "", Otherwise::kWarn, kServer},
    {"io_ratio", "", Otherwise::kWarn, kServer},
    {"features", "", Otherwise::kWarn, kServer},
    {"opts", "", Otherwise::kWarn, "dray runs on no Java machine"},
    {"rolling_batch_buffer", "", Otherwise::kWarn, kBatching},
    {"cache_batch", "", Otherwise::kWarn, kServer},
    {"cache_multitenant", "", Otherwise::kWarn, kServer},
    {"ddb_cache", "", Otherwise::kWarn, kServer},
    {"ddb_table_name", "", Otherwise::kWarn, kServer},
    {"s3_cache_bucket", "", Otherwise::kWarn, kServer},
    {"error_rate_model", "", Otherwise::kWarn,
     "DJLServing counts no errors under it; set error_rate_server"},
    {"timeout_http_code", "", Otherwise::kWarn,
     "DJLServing answers late requests with bad_request_http_code; set that"},
};

}  // namespace

std::vector<ForeignTable> ForeignTables() {
  return {{"DJLServing", kRows},
          {"LMI", LmiSettings()},
          {"vLLM", VllmSettings()},
          {"TensorRT-LLM", TensorRtSettings()}};
}

std::optional<Text> FindForeignSetting(Text property) {
  for (const EngineKey& key : EngineKeys()) {
    if (EqualsIgnoreCase(key.property, property)) return key.property;
  }
  for (const ForeignTable& table : ForeignTables()) {
    for (const ForeignSetting& row : table.rows) {
      if (EqualsIgnoreCase(row.property, property)) return row.property;
    }
  }
  return std::nullopt;
}

namespace {

Status CheckTable(std::span<const ForeignSetting> rows,
                  const std::map<std::string, ForeignValue>& given,
                  std::vector<std::string>& warnings) {
  for (const ForeignSetting& row : rows) {
    const auto found = given.find(std::string(row.property));
    if (found == given.end() || ListHolds(row.natural, found->second.value)) continue;
    if (row.otherwise == Otherwise::kIgnore) continue;
    const std::string what = fmt::format("{} is \"{}\"", found->second.where, found->second.value);
    if (row.otherwise == Otherwise::kRefuse) {
      return Status(StatusCode::kUnsupported,
                    fmt::format("{}, which cannot be served: {}", what, row.reason));
    }
    warnings.push_back(fmt::format("{}, which has no effect: {}", what, row.reason));
  }
  return OkStatus();
}

}  // namespace

Status CheckForeignSettings(const std::map<std::string, ForeignValue>& given,
                            std::vector<std::string>& warnings) {
  for (const ForeignTable& table : ForeignTables()) {
    DRAY_RETURN_IF_ERROR(CheckTable(table.rows, given, warnings));
  }
  return CheckTable(VariableSettings(), given, warnings);
}

}  // namespace dray::settings
