#include "settings/foreign/translation.h"

#include <algorithm>

#include "settings/foreign/words.h"

namespace dray::settings {
namespace {

constexpr Translation kTranslations[] = {
    // Text Generation Inference, vLLM and Accelerate, which quantise while they load.
    {"option.quantize", "bitsandbytes", "option.quantize", "int8_weight_only"},
    {"option.quantize", "bitsandbytes8", "option.quantize", "int8_weight_only"},
    {"option.quantize", "eetq", "option.quantize", "int8_weight_only"},
    {"option.quantize", "fp8", "option.quantize", "int8_weight_only"},
    {"option.quantize", "fbgemm_fp8", "option.quantize", "int8_weight_only"},
    {"option.quantize", "bitsandbytes4", "option.quantize", "int4_asym"},
    {"option.quantize", "bitsandbytes-nf4", "option.quantize", "int4_asym"},
    {"option.quantize", "bitsandbytes-fp4", "option.quantize", "int4_asym"},
    {"option.quantize", "squeezellm", "option.quantize", "int4_asym"},
    {"option.load_in_8bit", "true", "option.quantize", "int8_weight_only"},
    {"option.load_in_4bit", "true", "option.quantize", "int4_asym"},
    // Other kernels for the same checkpoints.
    {"option.quantize", "gptq_marlin", "option.quantize", "gptq"},
    {"option.quantize", "awq_marlin", "option.quantize", "awq"},
    // Caches of 8-bit floats.
    {"option.kv_cache_dtype", "fp8", "option.kv_cache_dtype", "int8"},
    {"option.kv_cache_dtype", "fp8_e4m3", "option.kv_cache_dtype", "int8"},
    {"option.kv_cache_dtype", "fp8_e4m3fn", "option.kv_cache_dtype", "int8"},
    {"option.kv_cache_dtype", "fp8_e5m2", "option.kv_cache_dtype", "int8"},
    {"option.kv_cache_dtype", "fp8_inc", "option.kv_cache_dtype", "int8"},
    // Other ways to read the same files.
    {"option.load_format", "npcache", "option.load_format", "auto"},
    {"option.load_format", "tensorizer", "option.load_format", "auto"},
    {"option.load_format", "sharded_state", "option.load_format", "auto"},
    {"option.load_format", "bitsandbytes", "option.load_format", "auto"},
    {"option.load_format", "mistral", "option.load_format", "auto"},
    {"option.load_format", "runai_streamer", "option.load_format", "auto"},
    {"option.load_format", "runai_streamer_sharded", "option.load_format", "auto"},
    {"option.load_format", "fastsafetensors", "option.load_format", "auto"},
};

}  // namespace

std::span<const Translation> Translations() { return kTranslations; }

const Translation* FindTranslation(std::string_view property, std::string_view value) {
  const auto* const row = std::find_if(std::begin(kTranslations), std::end(kTranslations),
                                       [&](const Translation& translation) {
                                         return EqualsIgnoreCase(translation.property, property) &&
                                                EqualsIgnoreCase(translation.value, value);
                                       });
  return row == std::end(kTranslations) ? nullptr : row;
}

}  // namespace dray::settings
