#include "serving/quantization_settings.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/parse/parse_number.h"

namespace dray::serving {
namespace {

using kernels::Inputs;
using kernels::WeightForm;
using kernels::WeightFormat;
using kernels::ZeroPoint;

using Text = std::string_view;

Status MustBe(std::string what) { return Status(StatusCode::kInvalidArgument, std::move(what)); }

struct Method {
  Text spelling;
  Text name;
};
constexpr Method kMethods[] = {
    {"none", "none"},
    {"dynamic_int8", "dynamic_int8"},
    {"int8", "dynamic_int8"},
    {"w8a8", "dynamic_int8"},
    {"int8_weight_only", "int8_weight_only"},
    {"int8wo", "int8_weight_only"},
    {"w8a16", "int8_weight_only"},
    {"int4", "int4"},
    {"int4_sym", "int4"},
    {"int4_asym", "int4_asym"},
    {"smoothquant", "smoothquant"},
    {"gptq", "gptq"},
    {"awq", "awq"},
};

// Methods of other servers that are none of these, and what comes nearest.
constexpr Method kElsewhere[] = {
    {"bitsandbytes", "int8_weight_only"}, {"bitsandbytes8", "int8_weight_only"},
    {"eetq", "int8_weight_only"},         {"bitsandbytes4", "int4_asym"},
    {"bitsandbytes-nf4", "int4_asym"},    {"bitsandbytes-fp4", "int4_asym"},
    {"fp8", "int8_weight_only"},          {"squeezellm", "int4_asym"},
};

// A form in groups, if the method may have them.
std::optional<WeightForm> GroupedForm(Text method, int64_t group) {
  if (method == "dynamic_int8") return WeightForm(WeightFormat::kI8, group);
  if (method == "int4") return WeightForm(WeightFormat::kI4, group);
  if (method == "int4_asym") return WeightForm(WeightFormat::kI4, group, ZeroPoint::kPerGroup);
  return std::nullopt;
}

Status CheckTogether(Text dtype, const std::string& method, const QuantizationSettings& settings) {
  const auto of_dtype = FormOf(dtype);
  const bool integers = dtype == "int8" || dtype == "int4";
  if (integers && GroupedForm(method, 0) != of_dtype) {
    return MustBe(
        fmt::format("dtype is {} and quantize is {}; beside quantize, dtype names the "
                    "floats of what is not quantised: auto, fp32, fp16 or bf16",
                    dtype, method));
  }
  if (settings.group_size > 0 && !GroupedForm(method, settings.group_size)) {
    return MustBe(
        fmt::format("quantize_group_size is {}, but quantize is {}, which has no groups; only "
                    "dynamic_int8, int4 and int4_asym have",
                    settings.group_size, method));
  }
  if (method != "smoothquant" && !settings.calibration_file.empty()) {
    return MustBe(
        fmt::format("calibration_file is {}, but quantize is {}; only smoothquant uses it",
                    settings.calibration_file, method));
  }
  return OkStatus();
}

}  // namespace

Status SetQuantize(QuantizationSettings& settings, Text text) {
  for (const Method& method : kMethods) {
    if (method.spelling != text) continue;
    settings.method = method.name;
    return OkStatus();
  }
  for (const Method& method : kElsewhere) {
    if (method.spelling != text) continue;
    return Status(StatusCode::kUnsupported,
                  fmt::format("dray does not have that method; {} comes nearest", method.name));
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

std::optional<WeightForm> FormOf(Text dtype) {
  if (dtype == "fp32") return WeightFormat::kF32;
  if (dtype == "fp16") return WeightFormat::kF16;
  if (dtype == "bf16") return WeightFormat::kBF16;
  if (dtype == "int8") return WeightFormat::kI8;
  if (dtype == "int4") return WeightFormat::kI4;
  return std::nullopt;
}

Result<engine::LoadModelOptions> MakeQuantization(Text dtype,
                                                  const QuantizationSettings& settings) {
  const bool integers = dtype == "int8" || dtype == "int4";
  std::string method = settings.method;
  if (integers && method == "none") method = dtype == "int8" ? "dynamic_int8" : "int4";
  DRAY_RETURN_IF_ERROR(CheckTogether(dtype, method, settings));
  engine::LoadModelOptions load;
  const auto floats = integers ? std::nullopt : FormOf(dtype);
  if (method == "none" || method == "gptq" || method == "awq") {
    load.format = floats;
    if (method != "none") load.quantized_by = method;
    return load;
  }
  load.table_format = floats;
  load.format = GroupedForm(method, settings.group_size);
  if (method == "int8_weight_only") {
    load.format = WeightForm(WeightFormat::kI8, 0, ZeroPoint::kNone, Inputs::kFloat);
  }
  if (method == "smoothquant") {
    load.format = WeightFormat::kI8;
    load.smoothing = {.calibration_file = settings.calibration_file,
                      .alpha = settings.smoothquant_alpha};
  }
  return load;
}

}  // namespace dray::serving
