// From the LMI container's guides and its properties classes, 0.18 to 0.36.
#include "settings/foreign/foreign_setting.h"

namespace dray::settings {
namespace {

using Text = std::string_view;
using enum ForeignSetting::Otherwise;

constexpr Text kCompiled = "dray compiles nothing for a device";
constexpr Text kLimits = "requests say how much they want; option.max_model_len bounds it";
constexpr Text kImages = "dray makes no images";
constexpr Text kChat = "chat is not in this build";
constexpr Text kAdapters = "adapters are not in this build";
constexpr Text kJava = "it tunes an engine for Java";

constexpr ForeignSetting kSettings[] = {
    {"option.batch_size", "1", kWarn,
     "requests are batched as they come; set option.max_rolling_batch_size to bound them"},
    {"option.disable_flash_attn", "", kWarn, kForeignBackend},
    {"option.is_peft_model", "false", kWarn, kAdapters},
    {"option.adapters", "", kWarn, kAdapters},
    {"option.cpu_offload_gb_per_gpu", "0 0.0", kWarn, kForeignMemory},
    {"option.record_acceptance_rate", "false", kWarn,
     "the log says at the end how many guesses were right"},
    {"option.lmcache_auto_config", "false", kWarn, kForeignBackend},
    {"option.lmcache_config_file", "", kWarn, kForeignBackend},
    {"option.chat_template", "", kWarn, kChat},
    {"option.chat_template_content_format", "auto", kWarn, kChat},
    {"option.enable_auto_tool_choice", "false", kWarn, kChat},
    {"option.tool_call_parser", "", kWarn, kChat},
    {"option.enable_reasoning", "false", kWarn, kChat},
    {"option.image_placeholder_token", "", kWarn, kImages},
    {"option.normalize", "", kWarn, "the files beside an encoder say how it makes vectors"},
    {"option.prefix", "", kWarn, kForeignModelFiles},
    {"option.default_accept", "", kWarn, "option.output_formatter says how answers are written"},
    {"option.model_format", "", kWarn, kForeignModelFiles},
    {"option.optimization", "", kWarn, kForeignBackend},
    {"option.max_new_tokens", "", kWarn, kLimits},
    {"option.stop_sequence", "", kWarn, "requests name their stop sequences"},
    {"option.num_images_per_prompt", "", kWarn, kImages},
    {"option.use_stable_diffusion", "false", kWarn, kImages},
    {"option.height", "", kWarn, kImages},
    {"option.width", "", kWarn, kImages},
    {"option.skops_trusted_types", "", kWarn, "dray serves transformer language models only"},
    {"option.trust_insecure_model_files", "false", kWarn, "dray runs no code from model files"},
    {"option.engine", "Python MPI", kWarn, "the key is engine, without option."},
    {"option.load_on_devices", "", kWarn, "the key is load_on_devices, without option."},
    {"option.log_request_metric", "", kWarn, "the key is log_request_metric, without option."},
    {"option.metrics_aggregation", "", kWarn, "the key is metrics_aggregation, without option."},
    {"option.max_batch_delay", "", kWarn, "the key is max_batch_delay, without option."},
    {"option.max_idle_time", "", kWarn, "the key is max_idle_time, without option."},
    // Engines for Java.
    {"option.mapLocation", "", kWarn, kJava},
    {"option.extraFiles", "", kWarn, kJava},
    {"option.interOpNumThreads", "", kWarn, kJava},
    {"option.intraOpNumThreads", "", kWarn, kJava},
    {"option.executionMode", "", kWarn, kJava},
    {"option.optLevel", "", kWarn, kJava},
    {"option.memoryPatternOptimization", "", kWarn, kJava},
    {"option.cpuArenaAllocator", "", kWarn, kJava},
    {"option.disablePerSessionThreads", "", kWarn, kJava},
    {"option.customOpLibrary", "", kWarn, kJava},
    {"option.ortDevice", "", kWarn, kJava},
    // DeepSpeed.
    {"option.enable_mixed_precision_accumulation", "", kWarn, kForeignBackend},
    {"option.enable_saturate_infinity", "", kWarn, kForeignBackend},
    {"option.max_splits", "", kWarn, kForeignBackend},
    {"option.max_sparsity", "", kWarn, kForeignBackend},
    // transformers-neuronx.
    {"option.compiled_graph_path", "", kWarn, kCompiled},
    {"option.draft_model_compiled_path", "", kWarn, kCompiled},
    {"option.neuron_optimize_level", "", kWarn, kCompiled},
    {"option.context_length_estimate", "", kWarn, kCompiled},
    {"option.load_split_model", "", kWarn, kForeignModelFiles},
    {"option.model_loader", "", kWarn, kForeignModelFiles},
    {"option.partition_schema", "", kWarn, kForeignModelFiles},
    {"option.split_model_path", "", kWarn, kForeignModelFiles},
    {"option.group_query_attention", "", kWarn, kForeignBackend},
    {"option.attention_layout", "", kWarn, kForeignBackend},
    {"option.collectives_layout", "", kWarn, kForeignBackend},
    {"option.cache_layout", "", kWarn, kForeignBackend},
    {"option.fuse_qkv", "", kWarn, kForeignBackend},
    {"option.fuse_mlp", "", kWarn, kForeignBackend},
    {"option.on_device_embedding", "", kWarn, kForeignBackend},
    {"option.on_device_generation", "", kWarn, kForeignBackend},
    {"option.shard_over_sequence", "", kWarn, kForeignBackend},
    {"option.all_reduce_dtype", "", kWarn, kForeignBackend},
    {"option.cast_logits_dtype", "", kWarn, kForeignBackend},
    {"option.sequence_parallel_norm", "", kWarn, kForeignBackend},
    {"option.sequence_parallel_norm_threshold", "", kWarn, kForeignBackend},
    {"option.weight_tiling", "", kWarn, kForeignBackend},
    {"option.log_softmax_scores", "", kWarn, kForeignBackend},
    {"option.bf16_rms_norm", "", kWarn, kForeignBackend},
    {"option.speculation_length", "", kWarn, "set option.num_speculative_tokens"},
};

}  // namespace

std::span<const ForeignSetting> LmiSettings() { return kSettings; }

}  // namespace dray::settings
