// Shared by the targets that check ranges: the input as bytes, and a read of every byte of a range,
// which AddressSanitizer checks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace dray::fuzz {

inline std::span<const std::byte> AsBytes(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const std::byte*>(data), size};
}

inline void Touch(std::span<const std::byte> bytes) {
  uint64_t sum = 0;
  for (const std::byte value : bytes) sum += static_cast<uint8_t>(value);
  asm volatile("" : : "r"(sum));  // keeps the compiler from removing the reads
}

}  // namespace dray::fuzz
