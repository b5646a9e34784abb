// Conversions between the formats that checkpoints hold and those that weights are stored in.
#include <cstdint>
#include <cstring>

#include "kernels/cpu/isa/ops.h"
#include "kernels/cpu/isa/vec.h"

namespace dray::kernels::DRAY_ISA {
namespace {

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

void Quantize(const QuantizeTask& task) {
  const Vec magic = Set1(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
  const Vec inverse = Set1(task.inverse_scale), shift = Set1(task.shift);
  const Vec zero = Set1(static_cast<float>(task.zero));
  const Vec top = Set1(static_cast<float>(task.top));
  for (int64_t i = 0; i < task.count; i += kLanes) {
    const int64_t n = task.count - i;
    const Vec rounded = (LoadUpTo(task.x + i, n) * inverse + shift + magic) - magic;
    float lanes[kLanes];
    Store(lanes, Min(top, Max(Zero(), rounded + zero)));
    for (int64_t j = 0; j < kLanes && j < n; ++j) {
      task.out[i + j] = static_cast<uint8_t>(static_cast<int>(lanes[j]));
    }
  }
}

}  // namespace dray::kernels::DRAY_ISA
