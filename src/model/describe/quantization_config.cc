#include "model/describe/quantization_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <string>

namespace dray::model {
namespace {

using checkpoint::PackedFormat;

Status Unsupported(const ConfigReader& reader, std::string_view key, std::string_view reason) {
  return {StatusCode::kUnsupported, reader.Refuse(key, reason).message()};
}

// Of a key's two names, the one that is present; `name` if both or neither are.
std::string_view Present(ConfigReader& reader, std::string_view name, std::string_view other) {
  return !reader.Has(name) && reader.Has(other) ? other : name;
}

Result<int64_t> ReadGroup(ConfigReader& reader) {
  const std::string_view key = Present(reader, "group_size", "q_group_size");
  DRAY_ASSIGN_OR_RETURN(const int64_t group, reader.Int(key, -1, int64_t{1} << 30));
  if (group == -1) return int64_t{0};
  if (group == 0) return reader.Refuse(key, "it must be -1 (whole rows) or the size of a group");
  return group;
}

Result<std::string> ReadLowerCase(ConfigReader& reader, std::string_view key,
                                  std::string_view default_value) {
  DRAY_ASSIGN_OR_RETURN(std::string text, reader.String(key, default_value));
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

Status ReadGptq(ConfigReader& reader, PackedFormat& format) {
  DRAY_ASSIGN_OR_RETURN(const int64_t bits, reader.Int("bits", 1, 16));
  if (bits != 4 && bits != 8) {
    return Unsupported(reader, "bits", "of GPTQ weights dray reads those of 4 and 8 bits");
  }
  format.bits = static_cast<int>(bits);
  const std::string_view key = Present(reader, "checkpoint_format", "format");
  DRAY_ASSIGN_OR_RETURN(const std::string kind, ReadLowerCase(reader, key, "gptq"));
  if (kind != "gptq" && kind != "gptq_v2") {
    return Unsupported(reader, key, "dray reads the checkpoint formats gptq and gptq_v2");
  }
  // The first version of the format stores zero points less one.
  if (kind == "gptq") format.zero_step = bits == 4 ? 0x11111111u : 0x01010101u;
  if (const Json* dynamic = reader.Find("dynamic");
      dynamic != nullptr && !(dynamic->is_object() && dynamic->AsObject()->empty())) {
    return Unsupported(reader, "dynamic", "all layers must be quantised alike");
  }
  DRAY_ASSIGN_OR_RETURN(const std::string pack, ReadLowerCase(reader, "pack_dtype", "int32"));
  if (pack != "int32") return Unsupported(reader, "pack_dtype", "dray reads words of int32");
  DRAY_ASSIGN_OR_RETURN(const bool marlin, reader.Bool("is_marlin_format", false));
  if (marlin) {
    return Unsupported(reader, "is_marlin_format", "weights in Marlin's order are for one kernel");
  }
  return OkStatus();
}

Status ReadAwq(ConfigReader& reader, PackedFormat& format) {
  format.order = PackedFormat::Order::kAwq;
  const std::string_view bits_key = Present(reader, "bits", "w_bit");
  DRAY_ASSIGN_OR_RETURN(const int64_t bits, reader.Int(bits_key, 1, 16));
  if (bits != 4) return Unsupported(reader, bits_key, "of AWQ weights dray reads those of 4 bits");
  const std::string_view key = Present(reader, "version", "format");
  DRAY_ASSIGN_OR_RETURN(const std::string version, ReadLowerCase(reader, key, "gemm"));
  if (version != "gemm") {
    return Unsupported(reader, key, "of AWQ's orders of weights dray reads gemm");
  }
  DRAY_ASSIGN_OR_RETURN(const std::string backend, ReadLowerCase(reader, "backend", "autoawq"));
  if (backend == "llm-awq") {
    return Unsupported(reader, "backend", "its order of weights is not the one of autoawq");
  }
  return OkStatus();
}

// `reader` reads the object that describes the layers. The object may lack the method.
Result<std::optional<PackedFormat>> ReadPackedFormat(ConfigReader& reader,
                                                     std::string_view default_method) {
  DRAY_ASSIGN_OR_RETURN(const std::string method,
                        ReadLowerCase(reader, "quant_method", default_method));
  PackedFormat format;
  if (method == "gptq") {
    DRAY_RETURN_IF_ERROR(ReadGptq(reader, format));
  } else if (method == "awq") {
    DRAY_RETURN_IF_ERROR(ReadAwq(reader, format));
  } else {
    return Unsupported(reader, "quant_method",
                       "dray reads gptq and awq; else use the float checkpoint that this one was "
                       "made from");
  }
  DRAY_ASSIGN_OR_RETURN(format.group, ReadGroup(reader));
  // The other keys tell how the weights were computed. What they are is in the tensors.
  return std::optional(format);
}

}  // namespace

Result<std::optional<PackedFormat>> ReadQuantizationConfig(ConfigReader& reader) {
  constexpr std::string_view kKey = "quantization_config";
  const Json* value = reader.Find(kKey);
  if (value == nullptr) return std::optional<PackedFormat>();
  if (!value->is_object()) return reader.Refuse(kKey, "it must be an object");
  ConfigReader nested(fmt::format("{}: {}", reader.where(), kKey), *value);
  return ReadPackedFormat(nested, "");
}

Result<std::optional<PackedFormat>> ReadQuantizeConfig(const std::string& where,
                                                       const Json& quantize_config) {
  if (!quantize_config.is_object()) {
    return Status(
        StatusCode::kInvalidArgument,
        fmt::format("{}: it must be a JSON object, not a {}", where, quantize_config.KindName()));
  }
  ConfigReader reader(where, quantize_config);
  return ReadPackedFormat(reader, "gptq");
}

}  // namespace dray::model
