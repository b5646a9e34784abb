// Number formats: names, sizes, and exact scalar conversions (the reference that kernels
// are tested against).
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace dray {

enum class DType : uint8_t { kF32, kF16, kBF16, kF64, kI8, kU8, kI16, kI32, kI64, kBool };

// Bytes of one element.
size_t SizeOf(DType dtype);
// The name that dray prints: "f32", "bf16", ...
std::string_view Name(DType dtype);
// Every spelling that configurations use: "float16", "fp16", "torch.float16", "f16",
// "F16", "half", ...
std::optional<DType> ParseDType(std::string_view text);
// Whether a weight may be stored and computed in this format: f32, f16 or bf16.
bool IsWeightType(DType dtype);

inline float BF16ToF32(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

// Rounds to nearest, ties to even; NaN stays NaN (quiet).
inline uint16_t F32ToBF16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return static_cast<uint16_t>((bits >> 16) | 0x40u);
  return static_cast<uint16_t>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}

float F16ToF32(uint16_t bits);
// Rounds to nearest, ties to even; overflows to infinity; keeps subnormals.
uint16_t F32ToF16(float value);

}  // namespace dray
