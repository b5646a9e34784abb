// The settings of number formats: dtype, quantize and what belongs to it, their spellings here and
// elsewhere, and what they mean together.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"
#include "engine/engine_options.h"
#include "settings/number_formats.h"

namespace dray::settings {

// How weights become integers; kGptq and kAwq say what the checkpoint must be already.
enum class QuantizationMethod {
  kNone,
  kDynamicInt8,
  kInt8WeightOnly,
  kInt4,
  kInt4Asymmetric,
  kSmoothQuant,
  kGptq,
  kAwq,
};

struct QuantizationSettings {
  QuantizationMethod method = QuantizationMethod::kNone;
  int64_t group_size = 0;  // 32, 64 or 128; 0: the method's own
  double smoothquant_alpha = 0.5;
  std::string calibration_file;  // "": calibration.json in the model's folder
};

// kInvalidArgument or kUnsupported; the message says what the value must be.
Status SetQuantize(QuantizationSettings& settings, std::string_view text);
Status SetGroupSize(QuantizationSettings& settings, std::string_view text);
Status SetSmoothquantAlpha(QuantizationSettings& settings, std::string_view text);

// The part of the options that `dtype` and `settings` decide. kInvalidArgument names those that
// contradict each other.
Result<engine::LoadModelOptions> MakeQuantization(WeightDType dtype,
                                                  const QuantizationSettings& settings);

}  // namespace dray::settings
