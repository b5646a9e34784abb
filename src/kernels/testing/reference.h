// Reproducible numbers for the tests of operations, and what the number formats make of them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <span>
#include <vector>

#include "kernels/weight_matrix.h"
#include "tensor/dtype.h"

namespace dray::kernels {

// Half a unit in the last place of 1.0f: the relative error of one rounding.
inline constexpr double kRounding = 1.0 / (1 << 24);

// Evenly distributed from -scale to scale.
inline std::vector<float> RandomFloats(int64_t count, uint32_t seed, float scale = 1.0f) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-scale, scale);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& v : values) v = uniform(random);
  return values;
}

inline float RoundTo(DType dtype, float value) {
  if (dtype == DType::kF16) return F16ToF32(F32ToF16(value));
  return dtype == DType::kBF16 ? BF16ToF32(F32ToBF16(value)) : value;
}

// The element of largest magnitude; of two, the positive one.
inline float PeakOf(std::span<const float> values) {
  float peak = 0;
  for (const float v : values) {
    if (std::abs(v) > std::abs(peak) || v == std::abs(peak)) peak = v;
  }
  return peak;
}

// The sum of the squares of the group's errors in 4 bits, -8 to 7, with this scale. The kernels add in this
// order.
inline float Int4Error(std::span<const float> group, float scale) {
  const float inverse = scale != 0 ? 1.0f / scale : 0.0f;
  float lanes[16] = {};
  for (size_t i = 0; i < group.size(); ++i) {
    const float stored = std::clamp(std::nearbyint(group[i] * inverse), -8.0f, 7.0f) * scale;
    lanes[i % 16] += (stored - group[i]) * (stored - group[i]);
  }
  float quads[4], pairs[2];
  for (int i = 0; i < 4; ++i) quads[i] = (lanes[i] + lanes[8 + i]) + (lanes[4 + i] + lanes[12 + i]);
  for (int i = 0; i < 2; ++i) pairs[i] = quads[i] + quads[2 + i];
  return pairs[0] + pairs[1];
}

// The scale of a group in 4 bits: of some parts of the one with which the peak becomes -8, of either sign,
// the one with the least error.
inline float Int4Scale(std::span<const float> group) {
  const float covering = PeakOf(group) / -8.0f;
  float best = RoundTo(DType::kF16, covering);
  for (const float share :
       {1.0f, 0.9375f, 0.875f, 0.8125f, 0.75f, -1.0f, -0.9375f, -0.875f, -0.8125f, -0.75f}) {
    const float scale = RoundTo(DType::kF16, covering * share);
    if (Int4Error(group, scale) < Int4Error(group, best)) best = scale;
  }
  return best;
}

// Rounds one row of weights as `format` stores it.
inline void RoundRow(WeightFormat format, std::span<float> row) {
  if (format == WeightFormat::kF16 || format == WeightFormat::kBF16) {
    const DType dtype = format == WeightFormat::kF16 ? DType::kF16 : DType::kBF16;
    for (float& v : row) v = RoundTo(dtype, v);
  }
  if (format == WeightFormat::kI8) {
    const float scale = std::abs(PeakOf(row)) / 127.0f;
    const float inverse = scale > 0 ? 1.0f / scale : 0.0f;
    for (float& v : row) v = std::nearbyint(v * inverse) * scale;
  }
  if (format == WeightFormat::kI4) {
    for (size_t begin = 0; begin < row.size(); begin += 64) {
      const auto group = row.subspan(begin, std::min<size_t>(64, row.size() - begin));
      const float scale = Int4Scale(group);
      const float inverse = scale != 0 ? 1.0f / scale : 0.0f;
      for (float& v : group) v = std::clamp(std::nearbyint(v * inverse), -8.0f, 7.0f) * scale;
    }
  }
}

// [rows, cols] as a matrix of `spec` stores it.
inline std::vector<float> Stored(const MatrixSpec& spec, std::vector<float> values) {
  for (int64_t r = 0; r < spec.rows; ++r) {
    RoundRow(spec.format, std::span(values).subspan(static_cast<size_t>(r * spec.cols),
                                                    static_cast<size_t>(spec.cols)));
  }
  return values;
}

// One row of activations as Linear rounds them for weights of `form`; `input_scale` as MatrixSpec
// has it.
inline std::vector<float> RoundedActivations(const WeightForm& form, std::span<const float> x,
                                             float input_scale = 0.0f) {
  std::vector<float> rounded(x.begin(), x.end());
  const bool is_integer = form.format == WeightFormat::kI8 || form.format == WeightFormat::kI4;
  if (form.format == WeightFormat::kBF16 || (is_integer && form.inputs == Inputs::kFloat)) {
    for (float& v : rounded) v = RoundTo(DType::kBF16, v);
  } else if (is_integer) {
    const float peak = input_scale > 0 ? 127.0f * input_scale : std::abs(PeakOf(x));
    const float scale = input_scale > 0 ? input_scale : peak / 127.0f;
    const float inverse = peak > 0 ? 127.0f / peak : 0.0f;
    for (float& v : rounded) {
      v = std::clamp(std::nearbyint(v * inverse), -127.0f, 127.0f) * scale;
    }
  }
  return rounded;
}

// A key or value of one head and token as a cache of `dtype` stores it. In 8 bits they are rounded
// as activations are.
inline std::vector<float> RoundedToCache(DType dtype, std::vector<float> x) {
  if (dtype == DType::kI8) return RoundedActivations(WeightFormat::kI8, x);
  for (float& v : x) v = RoundTo(dtype, v);
  return x;
}

inline bool SameBits(std::span<const float> a, std::span<const float> b) {
  const void* a_bytes = a.data();
  const void* b_bytes = b.data();
  return a.size() == b.size() && std::memcmp(a_bytes, b_bytes, a.size_bytes()) == 0;
}

inline constexpr WeightFormat kAllFormats[] = {WeightFormat::kF32, WeightFormat::kF16,
                                               WeightFormat::kBF16, WeightFormat::kI8,
                                               WeightFormat::kI4};

inline const WeightForm kInt8BesideFloats = {WeightFormat::kI8, 0, ZeroPoint::kNone,
                                             Inputs::kFloat};

inline const WeightForm kAllForms[] = {WeightFormat::kF32, WeightFormat::kF16, WeightFormat::kBF16,
                                       WeightFormat::kI8,  WeightFormat::kI4,  kInt8BesideFloats};

}  // namespace dray::kernels
