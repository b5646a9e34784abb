// Keys and variables that other servers document and dray has no setting for, as tables of data: one
// file for each server that they come from.
#pragma once

#include <span>
#include <string_view>

namespace dray::settings {

struct ForeignSetting {
  // What becomes of a value that is not in `natural`: nothing, a warning that names the key, or the
  // refusal to start.
  enum class Otherwise { kIgnore, kWarn, kRefuse };

  // As serving.properties or config.properties spells it ("option.swap_space"), or the name of a
  // variable of the environment that stands for no such key ("DJL_OFFLINE").
  std::string_view property;
  // By spaces: the values that ask for what dray does anyway.
  std::string_view natural;
  Otherwise otherwise;
  // Ends "... has no effect: " or "... cannot be served: ".
  std::string_view reason;
};

// Reasons that several tables give.
inline constexpr std::string_view kForeignBackend = "it tunes a backend that dray does not have";
inline constexpr std::string_view kForeignMemory = "set option.kv_cache_bytes to bound memory";
inline constexpr std::string_view kForeignModelFiles = "the files in the model's folder decide";

// DJLServing's LMI containers: the handlers for Accelerate, DeepSpeed, FasterTransformer and
// transformers-neuronx.
std::span<const ForeignSetting> LmiSettings();
// vLLM's engine arguments, which the LMI container passes through as option.NAME.
std::span<const ForeignSetting> VllmSettings();
// TensorRT-LLM, for building an engine and for running it.
std::span<const ForeignSetting> TensorRtSettings();
// Variables of the environment: of DJLServing, SageMaker, Text Generation Inference.
std::span<const ForeignSetting> VariableSettings();

}  // namespace dray::settings
