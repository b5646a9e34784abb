// Reads weights in the formats that checkpoints hold: conversions to the formats that weights are stored in, products
// with factors, sums of squares, and rounding to integers.
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

template <typename From>
void ReadAs(const ReadTask& task) {
  const auto* in = static_cast<const typename From::Type*>(task.source);
  const Vec row = Set1(task.row_factor);
  for (int64_t i = 0; i < task.count; i += kLanes) {
    const int64_t left = task.count - i;
    Vec x = LoadFirst<From>(in + i, left) * row;
    if (task.column_factors != nullptr) x = x * LoadUpTo(task.column_factors + i, left);
    StoreUpTo(task.out + i, x, left);
  }
}

typedef double Doubles __attribute__((vector_size(32)));
constexpr int kDoubles = 4;
constexpr int kDoubleVecs = kLanes / kDoubles;

void Widen(const float* from, Doubles& to) {
#if defined(__AVX2__)
  // g++ 12 makes two halves of __builtin_convertvector.
  to = _mm256_cvtps_pd(_mm_loadu_ps(from));
#else
  typedef float Floats __attribute__((vector_size(16)));
  Floats floats;
  std::memcpy(&floats, from, sizeof(floats));
  to = __builtin_convertvector(floats, Doubles);
#endif
}

void AddToColumns(const float* weights, double* columns) {
  for (int v = 0; v < kDoubleVecs; ++v) {
    Doubles x, sums;
    Widen(weights + v * kDoubles, x);
    std::memcpy(&sums, columns + v * kDoubles, sizeof(sums));
    sums += x * x;
    std::memcpy(columns + v * kDoubles, &sums, sizeof(sums));
  }
}

void AddToRow(const float* weights, const float* sizes, Doubles (&parts)[kDoubleVecs]) {
  for (int v = 0; v < kDoubleVecs; ++v) {
    Doubles x, size;
    Widen(weights + v * kDoubles, x);
    Widen(sizes + v * kDoubles, size);
    x *= size;
    parts[v] += x * x;
  }
}

double SumOf(const Doubles (&parts)[kDoubleVecs]) {
  const Doubles sum = (parts[0] + parts[2]) + (parts[1] + parts[3]);
  return (sum[0] + sum[2]) + (sum[1] + sum[3]);
}

// In f64, in which the square of a float is exact.
template <typename From, bool kColumns, bool kRow>
double AddSquaresTo(const SquaresTask& task) {
  const auto* in = static_cast<const typename From::Type*>(task.source);
  const float* const sizes = task.sizes;
  double* const columns = task.columns;
  const int64_t count = task.count;
  const Vec factor = Set1(task.row_factor);
  double row = task.row;
  for (int64_t tile = 0; tile < count; tile += kSquareCols) {
    const int64_t end = tile + kSquareCols < count ? tile + kSquareCols : count;
    Doubles parts[kDoubleVecs] = {};
    for (int64_t i = tile; i < end; i += kLanes) {
      float weights[kLanes];
      Store(weights, LoadFirst<From>(in + i, count - i) * factor);
      if constexpr (kColumns) AddToColumns(weights, columns + i);
      if constexpr (kRow) AddToRow(weights, sizes + i, parts);
    }
    if constexpr (kRow) row += SumOf(parts);
  }
  return row;
}

template <typename From>
double AddSquaresOf(const SquaresTask& task) {
  if (task.sizes == nullptr) {
    return task.columns == nullptr ? task.row : AddSquaresTo<From, true, false>(task);
  }
  return task.columns == nullptr ? AddSquaresTo<From, false, true>(task)
                                 : AddSquaresTo<From, true, true>(task);
}

Vec RoundToWhole(Vec x) {
  const Vec magic = Set1(kRoundingMagic);
  return (x + magic) - magic;
}

Vec AddError(Vec sum, Vec rounded, Vec x) {
  const Vec error = rounded - x;
  return sum + error * error;
}

// Returns half of the candidates if the second half is the first one with scales of the other sign, else 0. A number has
// then the same whole multiple of both scales but for its sign, and only the bounds differ.
int NumMirrored(const RoundingCandidates& candidates) {
  const int half = candidates.count / 2;
  bool is_mirrored = 2 * half == candidates.count;
  for (int c = 0; c < half; ++c) {
    is_mirrored &= candidates.scales[c + half] == -candidates.scales[c] &&
                   candidates.zeros[c + half] == candidates.zeros[c];
  }
  return is_mirrored ? half : 0;
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

void ReadWeights(const ReadTask& task) {
  switch (task.dtype) {
    case DType::kF16:
      return ReadAs<F16>(task);
    case DType::kBF16:
      return ReadAs<BF16>(task);
    case DType::kF64:
      return ReadAs<F64>(task);
    default:
      return ReadAs<F32>(task);
  }
}

double AddSquares(const SquaresTask& task) {
  switch (task.dtype) {
    case DType::kF16:
      return AddSquaresOf<F16>(task);
    case DType::kBF16:
      return AddSquaresOf<BF16>(task);
    case DType::kF64:
      return AddSquaresOf<F64>(task);
    default:
      return AddSquaresOf<F32>(task);
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
  const Vec inverse = Set1(task.inverse_scale);
  const Vec low = Set1(static_cast<float>(-task.zero));
  const Vec high = Set1(static_cast<float>(task.top - task.zero));
  // StoreI8 takes signed numbers: an integer q is stored as q - 128, and its highest bit is turned then.
  const Vec offset = Set1(static_cast<float>(task.zero - 128));
  const auto round = [&](Vec x, uint8_t* out) {
    const Vec rounded = RoundToWhole(x * inverse);
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
  const int num_mirrored = NumMirrored(candidates);
  for (int c = 0; c < candidates.count - num_mirrored; ++c) {
    const Vec scale = Set1(candidates.scales[c]), inverse = Set1(candidates.inverses[c]);
    const float least = -candidates.zeros[c], most = static_cast<float>(task.top) + least;
    const Vec low = Set1(least), high = Set1(most);
    const Vec mirrored_low = Set1(-most), mirrored_high = Set1(-least);
    Vec sum = Zero(), mirrored_sum = Zero();
    for (int64_t i = 0; i < task.count; i += kLanes) {
      const Vec x = LoadUpTo(task.x + i, task.count - i), rounded = RoundToWhole(x * inverse);
      sum = AddError(sum, Min(high, Max(low, rounded)) * scale, x);
      if (num_mirrored == 0) continue;
      mirrored_sum =
          AddError(mirrored_sum, Min(mirrored_high, Max(mirrored_low, rounded)) * scale, x);
    }
    errors[c] = Sum(sum);
    if (num_mirrored > 0) errors[c + num_mirrored] = Sum(mirrored_sum);
  }
}

}  // namespace dray::kernels::DRAY_ISA
