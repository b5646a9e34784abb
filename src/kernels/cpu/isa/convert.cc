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

// Reads the weights of a row of a task, in f32.
template <typename From>
class SquaresRow {
 public:
  SquaresRow(const SquaresTask& task, int64_t row)
      : weights_(static_cast<const typename From::Type*>(task.source) + row * task.row_stride),
        count_(task.count),
        factor_(Set1(task.row_factors == nullptr ? 1.0f : task.row_factors[row])) {}

  // Reads kLanes weights; those behind the last column are zero.
  void Read(int64_t col, float* weights) const {
    Store(weights, LoadFirst<From>(weights_ + col, count_ - col) * factor_);
  }

 private:
  const typename From::Type* weights_;
  int64_t count_;
  Vec factor_;
};

// Adds up a row's squares of some columns, to four sums. All in f64, in which the square of a float is exact.
template <typename From>
void SquaresOfRow(const SquaresRow<From>& row, const double* sizes, int64_t begin, int64_t end,
                  Doubles& sums) {
  Doubles parts[kDoubleVecs] = {};
  for (int64_t i = begin; i < end; i += kLanes) {
    float weights[kLanes];
    row.Read(i, weights);
    for (int v = 0; v < kDoubleVecs; ++v) {
      Doubles x, size;
      Widen(weights + v * kDoubles, x);
      std::memcpy(&size, sizes + i + v * kDoubles, sizeof(size));
      x *= size;
      parts[v] += x * x;
    }
  }
  sums = (parts[0] + parts[2]) + (parts[1] + parts[3]);
}

// Joins the four sums of each of four rows, and adds them. To join those of a row by itself takes as long as to add them up:
// each addition waits for the one before it.
void AddJoined(const Doubles (&rows)[4], Doubles& sums) {
  const Doubles even01 = __builtin_shufflevector(rows[0], rows[1], 0, 4, 2, 6);
  const Doubles even23 = __builtin_shufflevector(rows[2], rows[3], 0, 4, 2, 6);
  const Doubles odd01 = __builtin_shufflevector(rows[0], rows[1], 1, 5, 3, 7);
  const Doubles odd23 = __builtin_shufflevector(rows[2], rows[3], 1, 5, 3, 7);
  sums += (__builtin_shufflevector(even01, even23, 0, 1, 4, 5) +
           __builtin_shufflevector(even01, even23, 2, 3, 6, 7)) +
          (__builtin_shufflevector(odd01, odd23, 0, 1, 4, 5) +
           __builtin_shufflevector(odd01, odd23, 2, 3, 6, 7));
}

// Adds the squares of up to four rows to their sums.
template <typename From>
void AddToRows(const SquaresTask& task, int64_t first_row, int64_t num_rows) {
  // Rows that are not there are the last one once more.
  const auto row = [&](int64_t r) {
    return SquaresRow<From>(task, first_row + (r < num_rows ? r : num_rows - 1));
  };
  const SquaresRow<From> rows[4] = {row(0), row(1), row(2), row(3)};
  const auto size_bytes = static_cast<size_t>(num_rows) * sizeof(double);
  Doubles sums = {};
  std::memcpy(&sums, task.rows + first_row, size_bytes);
  for (int64_t tile = 0; tile < task.count; tile += kSquareCols) {
    const int64_t end = tile + kSquareCols < task.count ? tile + kSquareCols : task.count;
    Doubles parts[4];
    for (int r = 0; r < 4; ++r) SquaresOfRow(rows[r], task.sizes, tile, end, parts[r]);
    AddJoined(parts, sums);
  }
  std::memcpy(task.rows + first_row, &sums, size_bytes);
}

// The sums of columns are read and written once for kRows rows.
template <typename From, int kRows>
void AddToColumns(const SquaresTask& task, int64_t first_row) {
  const int64_t count = task.count;
  double* const columns = task.columns;
  const auto row = [&](int r) { return SquaresRow<From>(task, first_row + (r < kRows ? r : 0)); };
  const SquaresRow<From> rows[4] = {row(0), row(1), row(2), row(3)};
  for (int64_t i = 0; i < count; i += kLanes) {
    float weights[kRows][kLanes];
    for (int r = 0; r < kRows; ++r) rows[r].Read(i, weights[r]);
    for (int v = 0; v < kDoubleVecs; ++v) {
      Doubles sums;
      std::memcpy(&sums, columns + i + v * kDoubles, sizeof(sums));
      for (int r = 0; r < kRows; ++r) {
        Doubles x;
        Widen(weights[r] + v * kDoubles, x);
        sums += x * x;
      }
      std::memcpy(columns + i + v * kDoubles, &sums, sizeof(sums));
    }
  }
}

template <typename From>
void AddSquaresOf(const SquaresTask& task) {
  constexpr int64_t kRowsAtOnce = 4;
  if (task.rows != nullptr) {
    for (int64_t r = 0; r < task.num_rows; r += kRowsAtOnce) {
      const int64_t left = task.num_rows - r;
      AddToRows<From>(task, r, left < kRowsAtOnce ? left : kRowsAtOnce);
    }
  }
  if (task.columns == nullptr) return;
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
