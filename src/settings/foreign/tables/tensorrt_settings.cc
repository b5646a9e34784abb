// From the LMI container's guide to TensorRT-LLM (0.25 to 0.36), its properties class and TensorRT-LLM's
// own arguments.
#include "settings/foreign/foreign_setting.h"

namespace dray::settings {
namespace {

using Text = std::string_view;
using enum ForeignSetting::Otherwise;

constexpr Text kBuild = "dray builds no engine ahead of time";
constexpr Text kQuantizes = "set option.quantize; dray needs no calibration for it";
constexpr Text kConfig = "the model's config.json says it";

constexpr ForeignSetting kSettings[] = {
    {"option.awq_block_size", "", kWarn, kQuantizes},
    {"option.awq_calib_size", "", kWarn, kQuantizes},
    {"option.awq_format", "", kWarn, kQuantizes},
    {"option.awq_ignore_layers", "", kWarn, kQuantizes},
    {"option.awq_mm_version", "", kWarn, kQuantizes},
    {"option.awq_weight_bit_width", "", kWarn, kQuantizes},
    {"option.awq_zero_point", "", kWarn, kQuantizes},
    {"option.calib_size", "", kWarn, kQuantizes},
    {"option.calib_batch_size", "", kWarn, kQuantizes},
    {"option.calib_dataset", "", kWarn, kQuantizes},
    {"option.q_format", "", kWarn, kQuantizes},
    {"option.smoothquant_per_token", "", kWarn, "activations have a scale for each token"},
    {"option.smoothquant_per_channel", "", kWarn, "weights have a scale for each channel"},
    {"option.baichuan_model_version", "", kWarn, kConfig},
    {"option.chatglm_model_version", "", kWarn, kConfig},
    {"option.gpt_model_version", "", kWarn, kConfig},
    {"option.multi_query_mode", "", kWarn, kConfig},
    {"option.rotary_base", "", kWarn, kConfig},
    {"option.rotary_dim", "", kWarn, kConfig},
    {"option.rotary_scaling_type", "", kWarn, kConfig},
    {"option.rotary_scaling_factor", "", kWarn, kConfig},
    {"option.load_by_shard", "", kWarn, kBuild},
    {"option.num_checkpoint_workers", "", kWarn, kBuild},
    {"option.num_engine_workers", "", kWarn, kBuild},
    {"option.trtllm_checkpoint_path", "", kWarn, "set option.model_id to a folder of weights"},
    {"option.max_draft_len", "", kWarn, "set option.num_speculative_tokens"},
    {"option.max_num_sequences", "", kWarn, "set option.max_rolling_batch_size"},
    {"option.max_batch_size", "", kWarn, "set option.max_rolling_batch_size"},
    {"option.enable_kv_cache_reuse", "false", kWarn, "prompts are computed anew"},
    {"option.enable_block_reuse", "false", kWarn, "prompts are computed anew"},
    {"option.enable_trt_overlap", "", kWarn, kForeignBackend},
    {"option.enable_overlap_scheduler", "", kWarn, kForeignBackend},
    {"option.use_fused_mlp", "", kWarn, kForeignBackend},
    {"option.multi_block_mode", "", kWarn, kForeignBackend},
    {"option.use_fp8_context_fmha", "", kWarn, kForeignBackend},
    {"option.use_cuda_graph", "", kWarn, kForeignBackend},
    {"option.attn_backend", "", kWarn, kForeignBackend},
    {"option.moe_backend", "", kWarn, kForeignBackend},
    {"option.backend", "", kWarn, kForeignBackend},
    {"option.logits_dtype", "", kWarn, "logits are f32"},
    {"option.context_parallel_size", "1", kWarn, kForeignBackend},
    {"option.moe_tensor_parallel_size", "1", kWarn, kForeignBackend},
    {"option.moe_expert_parallel_size", "1", kWarn, kForeignBackend},
    {"option.enable_attention_dp", "false", kWarn, kForeignBackend},
    {"option.auto_parallel", "false", kWarn, kForeignBackend},
    {"option.auto_parallel_world_size", "1", kWarn, kForeignBackend},
    {"option.embedding_parallel_mode", "", kWarn, kForeignBackend},
    {"option.iter_stats_max_iterations", "", kWarn, kForeignBackend},
    {"option.request_stats_max_iterations", "", kWarn, kForeignBackend},
    {"option.fast_build", "", kWarn, kBuild},
    {"option.enable_build_cache", "", kWarn, kBuild},
    {"option.batching_type", "", kWarn, "requests are batched as they come, step by step"},
    {"option.normalize_log_probs", "", kWarn, kForeignBackend},
    {"option.gather_generation_logits", "", kWarn, kForeignBackend},
    {"option.extended_runtime_perf_knob_config", "", kWarn, kForeignBackend},
    {"option.max_beam_width", "1", kWarn, "every request may have up to 64 beams"},
    {"option.max_attention_window", "", kWarn, kConfig},
    {"option.sink_token_length", "", kWarn, kConfig},
    {"option.free_gpu_memory_fraction", "", kWarn, kForeignMemory},
    {"option.host_cache_size", "0", kWarn, kForeignMemory},
    {"option.onboard_blocks", "", kWarn, kForeignBackend},
    {"option.cross_kv_cache_fraction", "", kWarn, kForeignMemory},
    {"option.secondary_offload_min_priority", "", kWarn, kForeignBackend},
    {"option.event_buffer_max_size", "", kWarn, kForeignBackend},
};

}  // namespace

std::span<const ForeignSetting> TensorRtSettings() { return kSettings; }

}  // namespace dray::settings
