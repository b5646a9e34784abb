#include "settings/quantization_settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <optional>

#include "base/parse/parse_number.h"
#include "settings/setting_values.h"

namespace dray::settings {
namespace {

using kernels::Inputs;
using kernels::WeightForm;
using kernels::WeightFormat;
using kernels::ZeroPoint;

using Text = std::string_view;

using Method = QuantizationMethod;

struct MethodSpelling {
  Text text;
  Method method;
};
// The first spelling of a method is its name in messages.
constexpr MethodSpelling kMethods[] = {
    {"none", Method::kNone},
    {"dynamic_int8", Method::kDynamicInt8},
    {"int8", Method::kDynamicInt8},
    {"w8a8", Method::kDynamicInt8},
    {"int8_weight_only", Method::kInt8WeightOnly},
    {"int8wo", Method::kInt8WeightOnly},
    {"w8a16", Method::kInt8WeightOnly},
    {"int4", Method::kInt4},
    {"int4_sym", Method::kInt4},
    {"int4_asym", Method::kInt4Asymmetric},
    {"smoothquant", Method::kSmoothQuant},
    {"gptq", Method::kGptq},
    {"awq", Method::kAwq},
};

Text NameOf(Method method) {
  const auto* const row =
      std::find_if(std::begin(kMethods), std::end(kMethods),
                   [&](const MethodSpelling& spelling) { return spelling.method == method; });
  return row->text;
}

bool IsInteger(WeightDType dtype) {
  return dtype == WeightFormat::kI8 || dtype == WeightFormat::kI4;
}

// The form of weights in groups of `group` columns (0: the method's own), if the method has groups.
std::optional<WeightForm> GroupedForm(Method method, int64_t group) {
  if (method == Method::kDynamicInt8) return WeightForm(WeightFormat::kI8, group);
  if (method == Method::kInt4) return WeightForm(WeightFormat::kI4, group);
  if (method == Method::kInt4Asymmetric) {
    return WeightForm(WeightFormat::kI4, group, ZeroPoint::kPerGroup);
  }
  return std::nullopt;
}

Status CheckTogether(WeightDType dtype, Method method, const QuantizationSettings& settings) {
  if (IsInteger(dtype) && GroupedForm(method, 0) != std::optional<WeightForm>(dtype)) {
    return MustBe(
        fmt::format("dtype is {} and quantize is {}; beside quantize, dtype names the "
                    "floats of what is not quantised: auto, fp32, fp16 or bf16",
                    SpellingOf(dtype), NameOf(method)));
  }
  if (settings.group_size > 0 && !GroupedForm(method, settings.group_size)) {
    return MustBe(
        fmt::format("quantize_group_size is {}, but quantize is {}, which has no groups; only "
                    "dynamic_int8, int4 and int4_asym have",
                    settings.group_size, NameOf(method)));
  }
  if (method != Method::kSmoothQuant && !settings.calibration_file.empty()) {
    return MustBe(
        fmt::format("calibration_file is {}, but quantize is {}; only smoothquant uses it",
                    settings.calibration_file, NameOf(method)));
  }
  return OkStatus();
}

}  // namespace

Status SetQuantize(QuantizationSettings& settings, Text text) {
  for (const MethodSpelling& spelling : kMethods) {
    if (spelling.text != text) continue;
    settings.method = spelling.method;
    return OkStatus();
  }
  return MustBe(
      "it must be one of none, dynamic_int8, int8_weight_only, int4, int4_asym, smoothquant, or "
      "what the checkpoint is: gptq, awq");
}

Status SetGroupSize(QuantizationSettings& settings, Text text) {
  const auto value = ParseInt64(text);
  if (!value || (*value != 0 && *value != 32 && *value != 64 && *value != 128)) {
    return MustBe("it must be 32, 64 or 128, or 0 for the method's own");
  }
  settings.group_size = *value;
  return OkStatus();
}

Status SetSmoothquantAlpha(QuantizationSettings& settings, Text text) {
  const auto value = ParseDouble(text);
  if (!value || *value < 0 || *value > 1) return MustBe("it must be a number from 0 to 1");
  settings.smoothquant_alpha = *value;
  return OkStatus();
}

Result<engine::LoadModelOptions> MakeQuantization(WeightDType dtype,
                                                  const QuantizationSettings& settings) {
  Method method = settings.method;
  if (IsInteger(dtype) && method == Method::kNone) {
    method = dtype == WeightFormat::kI8 ? Method::kDynamicInt8 : Method::kInt4;
  }
  DRAY_RETURN_IF_ERROR(CheckTogether(dtype, method, settings));
  engine::LoadModelOptions load;
  std::optional<WeightForm> floats;
  if (!IsInteger(dtype)) floats = dtype;
  if (method == Method::kNone || method == Method::kGptq || method == Method::kAwq) {
    load.format = floats;
    if (method != Method::kNone) load.quantized_by = NameOf(method);
    return load;
  }
  load.table_format = floats;
  load.format = GroupedForm(method, settings.group_size);
  // Every token's embedding is a row of the table, and every logit a sum of few rounded weights: in 4 bits
  // the tables alone would cost as much as all layers.
  if (!floats && load.format && load.format->format == WeightFormat::kI4) {
    load.table_format = WeightFormat::kI8;
  }
  if (method == Method::kInt8WeightOnly) {
    load.format = WeightForm(WeightFormat::kI8, 0, ZeroPoint::kNone, Inputs::kFloat);
  }
  if (method == Method::kSmoothQuant) {
    load.format = WeightFormat::kI8;
    load.smoothing = {.calibration_file = settings.calibration_file,
                      .alpha = settings.smoothquant_alpha};
  }
  return load;
}

}  // namespace dray::settings
