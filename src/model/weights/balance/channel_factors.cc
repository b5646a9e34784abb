#include "model/weights/balance/channel_factors.h"

#include <algorithm>
#include <cmath>

namespace dray::model {
namespace {

// Weights are not that far apart; it keeps products of factors within f32.
constexpr double kLargestExponent = 30;

bool IsKnown(double size, double reader) {
  return size > 0 && reader > 0 && std::isfinite(size) && std::isfinite(reader);
}

// [channel]: log2 of size^alpha / reader^(1 - alpha); NaN if unknown.
std::vector<double> Exponents(std::span<const double> sizes, std::span<const double> readers,
                              double alpha) {
  std::vector<double> exponents(sizes.size(), std::nan(""));
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (!IsKnown(sizes[i], readers[i])) continue;
    exponents[i] = alpha * std::log2(sizes[i]) - (1 - alpha) * std::log2(readers[i]);
  }
  return exponents;
}

double Median(std::vector<double> numbers) {
  if (numbers.empty()) return 0;
  const auto middle = numbers.begin() + static_cast<std::ptrdiff_t>(numbers.size() / 2);
  std::nth_element(numbers.begin(), middle, numbers.end());
  return *middle;
}

}  // namespace

std::vector<float> BalanceFactors(std::span<const double> sizes, std::span<const double> readers,
                                  double alpha) {
  const std::vector<double> exponents = Exponents(sizes, readers, alpha);
  double sum = 0;
  int64_t known = 0;
  for (const double exponent : exponents) {
    if (std::isnan(exponent)) continue;
    sum += exponent;
    ++known;
  }
  const double mean = known > 0 ? sum / static_cast<double>(known) : 0;
  std::vector<float> factors(sizes.size(), 1.0f);
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (std::isnan(exponents[i])) continue;
    const double whole = std::nearbyint(exponents[i] - mean);
    factors[i] =
        static_cast<float>(std::exp2(std::clamp(whole, -kLargestExponent, kLargestExponent)));
  }
  return factors;
}

std::vector<float> Inverses(std::span<const float> factors) {
  std::vector<float> inverses;
  inverses.reserve(factors.size());
  for (const float factor : factors) inverses.push_back(1.0f / factor);
  return inverses;
}

UnevenChannels FindUneven(std::span<const double> sizes, std::span<const double> readers) {
  // Where four channels of 192 in every part of the demo model are 8, 16 or 64 times larger and nothing is
  // balanced, its bits rise by 0.2, 0.5 or 14 % in int8, and by 2, 5 or 37 % in int4.
  constexpr double kUnevenRatio = 16;
  const std::vector<double> exponents = Exponents(sizes, readers, 0.5);
  std::vector<double> known_sizes, known_exponents;
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (std::isnan(exponents[i])) continue;
    known_sizes.push_back(sizes[i]);
    known_exponents.push_back(exponents[i]);
  }
  const double size = Median(known_sizes), exponent = Median(known_exponents);
  UnevenChannels uneven;
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (std::isnan(exponents[i])) continue;
    const double ratio = std::max(sizes[i] / size, std::exp2(exponents[i] - exponent));
    if (ratio < kUnevenRatio) continue;
    uneven.channels.push_back(static_cast<int64_t>(i));
    uneven.ratio = std::max(uneven.ratio, ratio);
  }
  return uneven;
}

}  // namespace dray::model
