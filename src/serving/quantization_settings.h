// The settings of number formats: dtype, quantize and what belongs to it, their spellings here and
// elsewhere, and what they mean together.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "engine/engine_options.h"

namespace dray::serving {

struct QuantizationSettings {
  // none, dynamic_int8, int8_weight_only, int4, int4_asym, smoothquant; or gptq or awq: what the
  // checkpoint must be.
  std::string method = "none";
  int64_t group_size = 0;  // 32, 64 or 128; 0: the method's own
  double smoothquant_alpha = 0.5;
  std::string calibration_file;  // "": calibration.json in the model's folder
};

// kInvalidArgument or kUnsupported; the message says what the value must be.
Status SetQuantize(QuantizationSettings& settings, std::string_view text);
Status SetGroupSize(QuantizationSettings& settings, std::string_view text);
Status SetSmoothquantAlpha(QuantizationSettings& settings, std::string_view text);

// The form that a dtype alone asks for (auto, fp32, fp16, bf16, int8 or int4); nothing for auto.
std::optional<kernels::WeightForm> FormOf(std::string_view dtype);

// The part of the options that `dtype` and `settings` decide. kInvalidArgument names those that
// contradict each other.
Result<engine::LoadModelOptions> MakeQuantization(std::string_view dtype,
                                                  const QuantizationSettings& settings);

}  // namespace dray::serving
