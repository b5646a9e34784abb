#include "settings/number_formats.h"

#include <algorithm>
#include <array>

namespace dray::settings {
namespace {

using kernels::WeightFormat;
using Text = std::string_view;

struct WeightSpelling {
  Text text;
  WeightDType dtype;
};
// The first spelling of a format is the one that messages use.
constexpr WeightSpelling kWeightSpellings[] = {
    {"auto", std::nullopt},
    {"fp32", WeightFormat::kF32},
    {"float32", WeightFormat::kF32},
    {"float", WeightFormat::kF32},
    {"f32", WeightFormat::kF32},
    {"fp16", WeightFormat::kF16},
    {"float16", WeightFormat::kF16},
    {"half", WeightFormat::kF16},
    {"f16", WeightFormat::kF16},
    {"bf16", WeightFormat::kBF16},
    {"bfloat16", WeightFormat::kBF16},
    {"int8", WeightFormat::kI8},
    {"int4", WeightFormat::kI4},
};

struct CacheSpelling {
  Text text;
  CacheDType dtype;
};
// With the names that other servers have for keys and values of 8 bits.
constexpr CacheSpelling kCacheSpellings[] = {
    {"auto", std::nullopt},     {"fp32", DType::kF32}, {"float32", DType::kF32},
    {"f32", DType::kF32},       {"fp16", DType::kF16}, {"float16", DType::kF16},
    {"half", DType::kF16},      {"f16", DType::kF16},  {"bf16", DType::kBF16},
    {"bfloat16", DType::kBF16}, {"int8", DType::kI8},  {"i8", DType::kI8},
    {"u8", DType::kI8},         {"q8", DType::kI8},    {"q8_0", DType::kI8},
};

// Sets `out` to what the table's row of that text says; false if there is none.
template <typename Row, size_t kNumRows, typename DTypeChoice>
bool SetFrom(const Row (&rows)[kNumRows], Text text, DTypeChoice& out) {
  const Row* const row =
      std::find_if(std::begin(rows), std::end(rows), [&](const Row& r) { return r.text == text; });
  if (row == std::end(rows)) return false;
  out = row->dtype;
  return true;
}

}  // namespace

Text SpellingOf(WeightDType dtype) {
  const auto* const row =
      std::find_if(std::begin(kWeightSpellings), std::end(kWeightSpellings),
                   [&](const WeightSpelling& spelling) { return spelling.dtype == dtype; });
  return row->text;
}

Status SetWeightDType(WeightDType& out, Text text) {
  if (SetFrom(kWeightSpellings, text, out)) return OkStatus();
  return {StatusCode::kInvalidArgument, "it must be one of auto, fp32, fp16, bf16, int8, int4"};
}

Status SetCacheDType(CacheDType& out, Text text) {
  if (SetFrom(kCacheSpellings, text, out)) return OkStatus();
  if (text.starts_with("fp8") || text.starts_with("f8") || text.starts_with("float8")) {
    return {StatusCode::kUnsupported,
            "processors do not compute with 8-bit floats; int8 takes the same memory"};
  }
  return {StatusCode::kInvalidArgument, "it must be one of auto, fp32, fp16, bf16, int8"};
}

}  // namespace dray::settings
