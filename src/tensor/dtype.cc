#include "tensor/dtype.h"

#include <array>
#include <cmath>
#include <string>
#include <utility>

#include "base/check.h"

namespace dray {
namespace {

struct Spelling {
  std::string_view text;
  DType dtype;
};

// Lower case, without a leading "torch.". safetensors writes F32, torch float32, DJLServing fp32.
constexpr std::array kSpellings = {
    Spelling{"f32", DType::kF32},     Spelling{"fp32", DType::kF32},
    Spelling{"float32", DType::kF32}, Spelling{"float", DType::kF32},
    Spelling{"f16", DType::kF16},     Spelling{"fp16", DType::kF16},
    Spelling{"float16", DType::kF16}, Spelling{"half", DType::kF16},
    Spelling{"bf16", DType::kBF16},   Spelling{"bfloat16", DType::kBF16},
    Spelling{"f64", DType::kF64},     Spelling{"float64", DType::kF64},
    Spelling{"double", DType::kF64},  Spelling{"i8", DType::kI8},
    Spelling{"int8", DType::kI8},     Spelling{"u8", DType::kU8},
    Spelling{"uint8", DType::kU8},    Spelling{"i16", DType::kI16},
    Spelling{"int16", DType::kI16},   Spelling{"i32", DType::kI32},
    Spelling{"int32", DType::kI32},   Spelling{"i64", DType::kI64},
    Spelling{"int64", DType::kI64},   Spelling{"bool", DType::kBool},
};

}  // namespace

size_t SizeOf(DType dtype) {
  switch (dtype) {
    case DType::kF64:
    case DType::kI64:
      return 8;
    case DType::kF32:
    case DType::kI32:
      return 4;
    case DType::kF16:
    case DType::kBF16:
    case DType::kI16:
      return 2;
    case DType::kI8:
    case DType::kU8:
    case DType::kBool:
      return 1;
  }
  return 0;
}

std::string_view Name(DType dtype) {
  static constexpr std::string_view kNames[] = {"f32", "f16", "bf16", "f64", "i8",
                                                "u8",  "i16", "i32",  "i64", "bool"};
  return kNames[static_cast<size_t>(dtype)];
}

std::optional<DType> ParseDType(std::string_view text) {
  std::string lower;
  for (char c : text) lower += (c >= 'A' && c <= 'Z') ? static_cast<char>(c - 'A' + 'a') : c;
  std::string_view name = lower;
  if (name.substr(0, 6) == "torch.") name.remove_prefix(6);
  for (const Spelling& spelling : kSpellings) {
    if (spelling.text == name) return spelling.dtype;
  }
  return std::nullopt;
}

bool IsWeightType(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16;
}

// IEEE binary16: 1 sign bit, 5 exponent bits (bias 15), 10 fraction bits.
float F16ToF32(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  const uint32_t exponent = (bits >> 10) & 0x1Fu;
  const uint32_t fraction = bits & 0x3FFu;
  if (exponent == 0x1F) return std::bit_cast<float>(sign | 0x7F800000u | (fraction << 13));
  if (exponent != 0)
    return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (fraction << 13));
  const float magnitude = std::ldexp(static_cast<float>(fraction), -24);
  return sign != 0 ? -magnitude : magnitude;
}

uint16_t F32ToF16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  const uint32_t magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) return sign | 0x7E00u;
  if (magnitude >= 0x477FF000u) return sign | 0x7C00u;  // 65520 and above round to infinity
  if (magnitude < 0x38800000u) {  // below 2^-14: subnormal, a multiple of 2^-24
    const float scaled = std::ldexp(std::abs(value), 24);
    return sign | static_cast<uint16_t>(std::nearbyint(scaled));
  }
  const uint32_t rounded = magnitude + 0xFFFu + ((magnitude >> 13) & 1u);
  return sign | static_cast<uint16_t>((rounded - 0x38000000u) >> 13);
}

}  // namespace dray
