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

double SumOf(const Doubles (&parts)[kDoubleVecs]) {
  const Doubles sum = (parts[0] + parts[2]) + (parts[1] + parts[3]);
  return (sum[0] + sum[2]) + (sum[1] + sum[3]);
}

// Reads the weights of a task, in f32.
template <typename From>
class SquaresReader {
 public:
  explicit SquaresReader(const SquaresTask& task) : task_(task) {}

  // Reads kLanes weights of a row; those behind the last column are zero.
  void Read(int64_t row, int64_t col, float* weights) const {
    const auto* in = static_cast<const typename From::Type*>(task_.source) + row * task_.row_stride;
    const Vec factor = Set1(task_.row_factors == nullptr ? 1.0f : task_.row_factors[row]);
    Store(weights, LoadFirst<From>(in + col, task_.count - col) * factor);
  }

 private:
  const SquaresTask& task_;
};

// Both in f64, in which the square of a float is exact.
template <typename From>
void AddToRow(const SquaresTask& task, int64_t row) {
  const SquaresReader<From> reader(task);
  for (int64_t tile = 0; tile < task.count; tile += kSquareCols) {
    const int64_t end = tile + kSquareCols < task.count ? tile + kSquareCols : task.count;
    Doubles parts[kDoubleVecs] = {};
    for (int64_t i = tile; i < end; i += kLanes) {
      float weights[kLanes];
      reader.Read(row, i, weights);
      for (int v = 0; v < kDoubleVecs; ++v) {
        Doubles x, sizes;
        Widen(weights + v * kDoubles, x);
        std::memcpy(&sizes, task.sizes + i + v * kDoubles, sizeof(sizes));
        x *= sizes;
        parts[v] += x * x;
      }
    }
    task.rows[row] += SumOf(parts);
  }
}

// The sums of columns are read and written once for kRows rows.
template <typename From, int kRows>
void AddToColumns(const SquaresTask& task, int64_t first_row) {
  const SquaresReader<From> reader(task);
  for (int64_t i = 0; i < task.count; i += kLanes) {
    float weights[kRows][kLanes];
    for (int r = 0; r < kRows; ++r) reader.Read(first_row + r, i, weights[r]);
    for (int v = 0; v < kDoubleVecs; ++v) {
      double* const columns = task.columns + i + v * kDoubles;
      Doubles sums;
      std::memcpy(&sums, columns, sizeof(sums));
      for (int r = 0; r < kRows; ++r) {
        Doubles x;
        Widen(weights[r] + v * kDoubles, x);
        sums += x * x;
      }
      std::memcpy(columns, &sums, sizeof(sums));
    }
  }
}

template <typename From>
void AddSquaresOf(const SquaresTask& task) {
  if (task.rows != nullptr) {
    for (int64_t r = 0; r < task.num_rows; ++r) AddToRow<From>(task, r);
  }
  if (task.columns == nullptr) return;
  constexpr int kRowsAtOnce = 4;
  int64_t r = 0;
  for (; r + kRowsAtOnce <= task.num_rows; r += kRowsAtOnce)
    AddToColumns<From, kRowsAtOnce>(task, r);
  for (; r < task.num_rows; ++r) AddToColumns<From, 1>(task, r);
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

void AddSquares(const SquaresTask& task) {
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
