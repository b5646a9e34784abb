// Conversions between the formats that checkpoints hold and those that weights are stored in.
#include <cstdint>
#include <cstring>

#include "kernels/cpu/isa/ops.h"
#include "kernels/cpu/isa/vec.h"

namespace dray::kernels::DRAY_ISA {
namespace {

// 1.5 * 2^23: adding it, then taking it off, rounds to an integer.
constexpr float kRoundingMagic = 12582912.0f;

// f64 is rare in checkpoints: the compiler's own loop will do.
struct F64 {
  using Type = double;
  static Vec LoadVec(const double* p) {
    double numbers[kLanes];
    std::memcpy(numbers, p, sizeof(numbers));
    float lanes[kLanes];
    for (int i = 0; i < kLanes; ++i) lanes[i] = static_cast<float>(numbers[i]);
    return Load(lanes);
  }
};

template <typename From, typename To>
void ConvertAs(const void* from, void* to, int64_t count) {
  const auto* in = static_cast<const typename From::Type*>(from);
  auto* out = static_cast<typename To::Type*>(to);
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) To::StoreVec(out + i, From::LoadVec(in + i));
  if (i < count) {
    typename To::Type lanes[kLanes];
    To::StoreVec(lanes, LoadFirst<From>(in + i, count - i));
    for (int64_t j = 0; i + j < count; ++j) out[i + j] = lanes[j];
  }
}

template <typename From>
void ConvertFrom(const void* in, DType to, void* out, int64_t count) {
  switch (to) {
    case DType::kF16:
      return ConvertAs<From, F16>(in, out, count);
    case DType::kBF16:
      return ConvertAs<From, BF16>(in, out, count);
    default:
      return ConvertAs<From, F32>(in, out, count);
  }
}

}  // namespace

void ConvertArray(DType from, const void* in, DType to, void* out, int64_t count) {
  switch (from) {
    case DType::kF16:
      return ConvertFrom<F16>(in, to, out, count);
    case DType::kBF16:
      return ConvertFrom<BF16>(in, to, out, count);
    case DType::kF64:
      return ConvertFrom<F64>(in, to, out, count);
    default:
      return ConvertFrom<F32>(in, to, out, count);
  }
}

void ExtremesOf(const float* x, int64_t count, float& least, float& most) {
  Vec high = Zero(), low = Zero(), zeros = Zero();
  for (int64_t i = 0; i < count; i += kLanes) {
    const Vec v = LoadUpTo(x + i, count - i);
    high = Max(v, high);
    low = Min(v, low);
    zeros = Fma(v, Zero(), zeros);
  }
  // Zero, or NaN if a number is NaN or infinite, which Max and Min may lose.
  const float finite = Sum(zeros);
  most = MaxOf(high) + finite;
  least = 0.0f - MaxOf(Zero() - low) + finite;
}

float PeakOf(const float* x, int64_t count) {
  float least, most;
  ExtremesOf(x, count, least, most);
  return most >= -least ? most : least;
}

float PeakOfNumbers(const float* x, int64_t count) {
  Vec high = Zero();
  // Max keeps its second argument where the first is NaN.
  for (int64_t i = 0; i < count; i += kLanes) high = Max(Abs(LoadUpTo(x + i, count - i)), high);
  const float peak = MaxOf(high);
  return peak <= __FLT_MAX__ ? peak : __FLT_MAX__;
}

// In f64, in which the square of a float is exact. The compiler makes vectors of the inner loops.
double AddSquares(const float* x, const float* sizes, int64_t count, double* sums) {
  constexpr int kParts = 16;
  for (int64_t i = 0; sums != nullptr && i < count; i += kParts) {
    for (int j = 0; j < kParts; ++j) {
      const auto number = static_cast<double>(x[i + j]);
      sums[i + j] += number * number;
    }
  }
  double parts[kParts] = {};
  for (int64_t i = 0; sizes != nullptr && i < count; i += kParts) {
    for (int j = 0; j < kParts; ++j) {
      const double sized = static_cast<double>(x[i + j]) * static_cast<double>(sizes[i + j]);
      parts[j] += sized * sized;
    }
  }
  for (int width = kParts / 2; width > 0; width /= 2) {
    for (int j = 0; j < width; ++j) parts[j] += parts[j + width];
  }
  return parts[0];
}

void Quantize(const QuantizeTask& task) {
  const Vec magic = Set1(kRoundingMagic), inverse = Set1(task.inverse_scale);
  const Vec low = Set1(static_cast<float>(-task.zero));
  const Vec high = Set1(static_cast<float>(task.top - task.zero));
  // StoreI8 takes signed numbers: an integer q is stored as q - 128, and its highest bit is turned then.
  const Vec offset = Set1(static_cast<float>(task.zero - 128));
  const auto round = [&](Vec x, uint8_t* out) {
    const Vec rounded = (x * inverse + magic) - magic;
    int8_t lanes[kLanes];
    StoreI8(lanes, Min(high, Max(low, rounded)) + offset);
    for (int j = 0; j < kLanes; ++j) out[j] = static_cast<uint8_t>(lanes[j] ^ 0x80);
  };
  int64_t i = 0;
  for (; i + kLanes <= task.count; i += kLanes) round(Load(task.x + i), task.out + i);
  if (i == task.count) return;
  uint8_t rest[kLanes];
  round(LoadUpTo(task.x + i, task.count - i), rest);
  for (int64_t j = 0; i + j < task.count; ++j) task.out[i + j] = rest[j];
}

// Without Fma, which rounds otherwise where the hardware has none.
void RoundingErrors(const RoundingTask& task, float* errors) {
  const RoundingCandidates& candidates = *task.candidates;
  const Vec magic = Set1(kRoundingMagic);
  for (int c = 0; c < candidates.count; ++c) {
    const Vec scale = Set1(candidates.scales[c]), inverse = Set1(candidates.inverses[c]);
    const Vec low = Set1(-candidates.zeros[c]);
    const Vec high = Set1(static_cast<float>(task.top) - candidates.zeros[c]);
    Vec sum = Zero();
    for (int64_t i = 0; i < task.count; i += kLanes) {
      const Vec x = LoadUpTo(task.x + i, task.count - i);
      const Vec rounded = Min(high, Max(low, (x * inverse + magic) - magic));
      const Vec error = rounded * scale - x;
      sum = sum + error * error;
    }
    errors[c] = Sum(sum);
  }
}

}  // namespace dray::kernels::DRAY_ISA
