// The frequencies follow transformers' functions step by step, in the same precision at each step:
// tensors there are f32, plain numbers are doubles, and a division of a number by a tensor is a
// product with the tensor's reciprocal.
#include "model/forward/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/check.h"

namespace dray::model {
namespace {

// base^exponent, of two f32, rounded once.
float Power(float base, float exponent) {
  return static_cast<float>(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
}

// base^(2i / exponent_dim): the wave length of pair i over 2 pi.
float PairPower(const RopeConfig& rope, float base, int64_t pair) {
  const float exponent = static_cast<float>(2 * pair) / static_cast<float>(rope.exponent_dim);
  return Power(base, exponent);
}

// The base that stretches the longest waves to `seq_len` tokens and leaves the shortest
// as they are.
float DynamicBase(const RopeConfig& rope, int64_t seq_len) {
  const auto base = static_cast<float>(rope.base);
  if (seq_len <= rope.original_max_positions) return base;
  const float stretched = static_cast<float>(rope.factor) * static_cast<float>(seq_len) /
                          static_cast<float>(rope.original_max_positions);
  const float growth = stretched - static_cast<float>(rope.factor - 1.0);
  const auto dim = static_cast<double>(rope.exponent_dim);
  return base * Power(growth, static_cast<float>(dim / (dim - 2.0)));
}

// Waves longer than the trained context are slowed by the factor, short ones are kept, and those
// between are blended.
float Llama3Frequency(const RopeConfig& rope, float frequency) {
  const auto factor = static_cast<float>(rope.factor);
  const auto context = static_cast<float>(rope.original_max_positions);
  const auto context_double = static_cast<double>(rope.original_max_positions);
  const auto low_wave = static_cast<float>(context_double / rope.low_freq_factor);
  const auto high_wave = static_cast<float>(context_double / rope.high_freq_factor);
  const float wave = (1.0f / frequency) * static_cast<float>(2.0 * std::numbers::pi);
  if (wave > low_wave) return frequency / factor;
  if (wave < high_wave) return frequency;
  const float smooth = ((1.0f / wave) * context - static_cast<float>(rope.low_freq_factor)) /
                       static_cast<float>(rope.high_freq_factor - rope.low_freq_factor);
  return (1.0f - smooth) * frequency / factor + smooth * frequency;
}

// The pairs between which YaRN blends: before `low` frequencies are kept, from `high` on they are
// slowed by the factor.
struct YarnRange {
  double low = 0.0;
  double high = 0.0;
};

YarnRange FindYarnRange(const RopeConfig& rope) {
  const auto dim = static_cast<double>(rope.exponent_dim);
  const auto context = static_cast<double>(rope.original_max_positions);
  // The pair that turns `rotations` times within the trained context.
  const auto pair_of = [&](double rotations) {
    return (dim * std::log(context / (rotations * 2.0 * std::numbers::pi))) /
           (2.0 * std::log(rope.base));
  };
  YarnRange range = {pair_of(rope.beta_fast), pair_of(rope.beta_slow)};
  if (rope.truncate) range = {std::floor(range.low), std::ceil(range.high)};
  range = {std::max(range.low, 0.0), std::min(range.high, dim - 1.0)};
  if (range.low == range.high) range.high += 0.001;
  return range;
}

float YarnFrequency(const RopeConfig& rope, const YarnRange& range, int64_t pair) {
  const float power = PairPower(rope, static_cast<float>(rope.base), pair);
  const float kept = 1.0f / power;
  const float slowed = 1.0f / (static_cast<float>(rope.factor) * power);
  const float ramp = (static_cast<float>(pair) - static_cast<float>(range.low)) /
                     static_cast<float>(range.high - range.low);
  const float keep = 1.0f - std::clamp(ramp, 0.0f, 1.0f);
  return slowed * (1.0f - keep) + kept * keep;
}

}  // namespace

std::vector<float> InverseFrequencies(const RopeConfig& rope, int64_t seq_len) {
  const bool is_dynamic = rope.scaling == RopeScaling::kDynamic;
  const float base = is_dynamic ? DynamicBase(rope, seq_len) : static_cast<float>(rope.base);
  const YarnRange yarn = rope.scaling == RopeScaling::kYarn ? FindYarnRange(rope) : YarnRange{};
  std::vector<float> frequencies(static_cast<size_t>(rope.dim / 2));
  for (int64_t pair = 0; pair < rope.dim / 2; ++pair) {
    float& frequency = frequencies[static_cast<size_t>(pair)];
    frequency = 1.0f / PairPower(rope, base, pair);
    if (rope.scaling == RopeScaling::kLinear) frequency /= static_cast<float>(rope.factor);
    if (rope.scaling == RopeScaling::kLlama3) frequency = Llama3Frequency(rope, frequency);
    if (rope.scaling == RopeScaling::kYarn) frequency = YarnFrequency(rope, yarn, pair);
    if (!rope.frequency_divisors.empty()) {
      frequency /= rope.frequency_divisors[static_cast<size_t>(pair)];
    }
  }
  return frequencies;
}

void WriteCosSin(const RopeConfig& rope, std::span<const float> inverse_frequencies,
                 int64_t position, std::span<float> row) {
  const size_t half = inverse_frequencies.size();
  DRAY_CHECK(row.size() == 2 * half);
  const auto scale = static_cast<float>(rope.attention_factor);
  for (size_t i = 0; i < half; ++i) {
    const float angle = static_cast<float>(position) * inverse_frequencies[i];
    row[i] = std::cos(angle) * scale;
    row[half + i] = std::sin(angle) * scale;
  }
}

}  // namespace dray::model
