// Arithmetic on sizes that come from files: an overflow is a value, never a wrapped number.
#pragma once

#include <concepts>
#include <optional>

namespace dray {

template <std::integral T>
std::optional<T> CheckedAdd(T a, T b) {
  T out;
  if (__builtin_add_overflow(a, b, &out)) return std::nullopt;
  return out;
}

template <std::integral T>
std::optional<T> CheckedMul(T a, T b) {
  T out;
  if (__builtin_mul_overflow(a, b, &out)) return std::nullopt;
  return out;
}

// The least multiple of `unit` that is not below `value`; both positive and far from
// the type's maximum.
template <std::integral T>
constexpr T RoundUp(T value, T unit) {
  return (value + unit - 1) / unit * unit;
}

template <std::integral T>
constexpr T DivideRoundUp(T value, T unit) {
  return (value + unit - 1) / unit;
}

}  // namespace dray
