// Transposes 4 x 4 words of 32 bits: so rows of a checkpoint become channels of a panel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace dray::kernels {

typedef uint32_t Words __attribute__((vector_size(16)));

inline Words LoadWords(const std::byte* p) {
  Words words;
  std::memcpy(&words, p, sizeof(words));
  return words;
}

// Column i of the words at p, p + stride, ... becomes out[i].
inline void Transpose4(const std::byte* p, int64_t stride, Words (&out)[4]) {
  const Words a = LoadWords(p), b = LoadWords(p + stride);
  const Words c = LoadWords(p + 2 * stride), d = LoadWords(p + 3 * stride);
  const Words ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5);
  const Words ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
  const Words cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5);
  const Words cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  out[0] = __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5);
  out[1] = __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7);
  out[2] = __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5);
  out[3] = __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7);
}

}  // namespace dray::kernels
