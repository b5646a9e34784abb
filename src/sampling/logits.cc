#include "sampling/logits.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace dray::sampling {
namespace {

// Each loop keeps this many independent partial results. The compiler can vectorize it then, and no
// addition waits for the one before.
constexpr size_t kNumLanes = 16;

// exp(x) = 2^n exp(r) with n = round(x / ln 2) and |r| <= ln(2) / 2; for such r a polynomial of
// degree six is exact enough. ln 2 is subtracted in two parts to keep the precision of r: the first
// part has so few bits that n times it is exact.
inline float Exp(float x) {
  constexpr float kLeast = -87.0f;
  constexpr float kLog2E = 1.44269504f;
  constexpr float kLn2High = 0.693359375f;
  constexpr float kLn2Low = -2.12194440e-4f;
  constexpr float kRoundToWhole =
      12582912.0f;  // 1.5 * 2^23: adding it leaves no bits for a fraction
  const float clamped = x > kLeast ? x : kLeast;
  const float shifted = clamped * kLog2E + kRoundToWhole;
  const float n = shifted - kRoundToWhole;
  const float r = (clamped - n * kLn2High) - n * kLn2Low;
  float p = 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const auto power = static_cast<uint32_t>(static_cast<int32_t>(n) + 127) << 23;
  return x > kLeast ? p * std::bit_cast<float>(power) : 0.0f;
}

}  // namespace

float MaxLogit(std::span<const float> logits) {
  constexpr float kLowest = -std::numeric_limits<float>::infinity();
  float lanes[kNumLanes];
  int32_t has_nan[kNumLanes] = {};
  std::fill(std::begin(lanes), std::end(lanes), kLowest);
  size_t i = 0;
  for (; i + kNumLanes <= logits.size(); i += kNumLanes) {
    for (size_t lane = 0; lane < kNumLanes; ++lane) {
      const float value = logits[i + lane];
      lanes[lane] = value > lanes[lane] ? value : lanes[lane];
      has_nan[lane] |= value != value ? 1 : 0;
    }
  }
  for (; i < logits.size(); ++i) {
    lanes[0] = std::max(lanes[0], logits[i]);
    has_nan[0] |= std::isnan(logits[i]) ? 1 : 0;
  }
  if (std::any_of(std::begin(has_nan), std::end(has_nan), [](int32_t n) { return n != 0; })) {
    return std::numeric_limits<float>::quiet_NaN();
  }
  return *std::max_element(std::begin(lanes), std::end(lanes));
}

int32_t IndexOf(std::span<const float> logits, float max) {
  return static_cast<int32_t>(std::find(logits.begin(), logits.end(), max) - logits.begin());
}

float ExpOfNonPositive(float x) { return Exp(x); }

void ExpAll(std::span<float> values) {
  for (float& value : values) value = Exp(value);
}

double SumOfExp(std::span<const float> logits, float max) {
  // Only short runs are added in float; their sums are added in double. So the error stays near
  // that of one float addition.
  constexpr size_t kRun = 256;
  float values[kRun];
  double sum = 0;
  for (size_t begin = 0; begin < logits.size(); begin += kRun) {
    const size_t size = std::min(kRun, logits.size() - begin);
    for (size_t i = 0; i < size; ++i) values[i] = logits[begin + i] - max;
    std::fill(values + size, values + kRun, -std::numeric_limits<float>::infinity());
    ExpAll(values);
    float lanes[kNumLanes] = {};
    for (size_t i = 0; i < kRun; i += kNumLanes) {
      for (size_t lane = 0; lane < kNumLanes; ++lane) lanes[lane] += values[i + lane];
    }
    for (const float lane : lanes) sum += lane;
  }
  return sum;
}

float ComputeLogprobs(std::span<const float> logits, int32_t token_id, int64_t num_top,
                      std::vector<TokenLogprob>& top) {
  const auto likelier = [](const TokenLogprob& a, const TokenLogprob& b) {
    return a.logprob != b.logprob ? a.logprob > b.logprob : a.id < b.id;
  };
  // First with logits in place of log-probabilities: a heap whose front is the least likely entry.
  top.clear();
  const size_t size = std::min<size_t>(num_top, logits.size());
  for (size_t i = 0; i < logits.size() && size > 0; ++i) {
    const TokenLogprob entry{static_cast<int32_t>(i), logits[i]};
    if (top.size() == size) {
      if (!(entry.logprob > top.front().logprob)) continue;
      std::pop_heap(top.begin(), top.end(), likelier);
      top.pop_back();
    }
    top.push_back(entry);
    std::push_heap(top.begin(), top.end(), likelier);
  }
  std::sort(top.begin(), top.end(), likelier);
  const float max = top.empty() ? MaxLogit(logits) : top.front().logprob;
  const double log_sum = max + std::log(SumOfExp(logits, max));
  for (TokenLogprob& entry : top) entry.logprob = static_cast<float>(entry.logprob - log_sum);
  return static_cast<float>(logits[token_id] - log_sum);
}

}  // namespace dray::sampling
