// Linear with weights in f32, f16 and bf16, and with 8-bit weights that are used as floats.
//
// Each output has one accumulator, and K ascends. So a row's result is the same bits whatever the
// size of its block, and the size may be chosen for speed alone.
#include <cstdint>

#include "kernels/cpu/isa/linear_loop_inl.h"
#include "kernels/cpu/isa/ops.h"
#include "kernels/cpu/isa/vec.h"

namespace dray::kernels::DRAY_ISA {
namespace {

// Adds the products of one column: its weights times the `i`-th float of each row. Row r begins at
// x + r * kLineBytes.
template <int kRows, int kHalves>
DRAY_INLINE void AddColumn(const Vec (&weights)[kHalves], const std::byte* x, int i,
                           Vec (&acc)[kRows][kHalves]) {
  for (int r = 0; r < kRows; ++r) {
    const Vec a = Set1(reinterpret_cast<const float*>(x + r * kLineBytes)[i]);
    for (int h = 0; h < kHalves; ++h) acc[r][h] = Fma(weights[h], a, acc[r][h]);
  }
}

// A step of each format: 16 channels' vectors of kHalves neighbouring 64-byte lines at `w`, and for
// row r the activations at `x` + r * kLineBytes. Both lines take about kRowCycles for each row and
// kWeightCycles to widen the weights. With few rows, lines are prefetched kAhead bytes ahead.
struct StepF32 {
  static constexpr int kStepsPerLine = 16;
  static constexpr int kColsPerStep = 1;
  static constexpr int kActivationBytes = 4;  // of one step
  static constexpr int kTemporaries = 0;      // vectors beside accumulators and operands
  static constexpr int kRowCycles = 2;
  static constexpr int kWeightCycles = 0;
  static constexpr int64_t kAhead = kOnlyReadingAhead;
  template <int kRows, int kHalves>
  static DRAY_INLINE void Run(const std::byte* w, const std::byte* x, Vec (&acc)[kRows][kHalves]) {
    Vec weights[kHalves];
    for (int h = 0; h < kHalves; ++h) {
      weights[h] = Load(reinterpret_cast<const float*>(w + h * kLineBytes));
    }
    AddColumn(weights, x, 0, acc);
  }
};

// Two k in a step, widened to f32 by Widen::First and Widen::Second.
template <typename Widen>
struct StepWiden {
  static constexpr int kStepsPerLine = 8;
  static constexpr int kColsPerStep = 2;
  static constexpr int kActivationBytes = 8;
  static constexpr int kTemporaries = 1;
  static constexpr int kRowCycles = 4;
  static constexpr int kWeightCycles = 4;
  static constexpr int64_t kAhead = kReadingAhead;
  template <int kRows, int kHalves>
  static DRAY_INLINE void Run(const std::byte* w, const std::byte* x, Vec (&acc)[kRows][kHalves]) {
    for (int k = 0; k < 2; ++k) {
      Vec weights[kHalves];
      for (int h = 0; h < kHalves; ++h) {
        const std::byte* line = w + h * kLineBytes;
        weights[h] = k == 0 ? Widen::First(line) : Widen::Second(line);
      }
      AddColumn(weights, x, k, acc);
    }
  }
};
struct WidenF16 {
  static DRAY_INLINE Vec First(const std::byte* line) {
    return LoadF16(reinterpret_cast<const uint16_t*>(line));
  }
  static DRAY_INLINE Vec Second(const std::byte* line) {
    return LoadF16(reinterpret_cast<const uint16_t*>(line) + kLanes);
  }
};
struct WidenBF16 {
  static DRAY_INLINE Vec First(const std::byte* line) { return LoadBF16First(line); }
  static DRAY_INLINE Vec Second(const std::byte* line) { return LoadBF16Second(line); }
};
using StepF16 = StepWiden<WidenF16>;

#ifdef __AVX512BF16__
// Adds the products of a pair of columns: their weights times the `i`-th pair of bf16 of each row.
template <int kRows, int kHalves>
DRAY_INLINE void AddPair(const __m512i (&weights)[kHalves], const std::byte* x, int i,
                         Vec (&acc)[kRows][kHalves]) {
  for (int r = 0; r < kRows; ++r) {
    int32_t pair;
    __builtin_memcpy(&pair, x + r * kLineBytes + i * static_cast<int>(sizeof(pair)), sizeof(pair));
    for (int h = 0; h < kHalves; ++h) acc[r][h] = DotBF16(acc[r][h], weights[h], pair);
  }
}

struct StepBF16 {
  static constexpr int kStepsPerLine = 16;
  static constexpr int kColsPerStep = 2;
  static constexpr int kActivationBytes = 4;
  static constexpr int kTemporaries = 0;
  static constexpr int kRowCycles = 2;
  static constexpr int kWeightCycles = 0;
  static constexpr int64_t kAhead = kReadingAhead;
  template <int kRows, int kHalves>
  static DRAY_INLINE void Run(const std::byte* w, const std::byte* x, Vec (&acc)[kRows][kHalves]) {
    __m512i weights[kHalves];
    for (int h = 0; h < kHalves; ++h) weights[h] = LoadPairs(w + h * kLineBytes);
    AddPair(weights, x, 0, acc);
  }
};
#else
using StepBF16 = StepWiden<WidenBF16>;
#endif

template <typename Step>
struct FloatKernel {
  static constexpr int kMaxRows = kMaxLinearRows;
  static constexpr int64_t kLineCols = Step::kStepsPerLine * Step::kColsPerStep;
  static constexpr int64_t kFetchCols = kLineCols;
  static constexpr Source kTwoBlocks = Source::kShared;
  static constexpr int64_t kPartCols = kFloatPartCols;
  static constexpr bool kAddsToSums = kPartCols > 0;
  static constexpr int64_t kPanelLineBytes = Step::kStepsPerLine * kStepBytes;

  // Each half fetches once for this many columns.
  static constexpr int kColsPerFetch = 4;
  static constexpr int64_t EvenFetches(int64_t cols) requires(kFetchesEvenly) {
    return 2 * cols / kColsPerFetch;
  }
  template <Source kSource>
  static DRAY_INLINE void FetchNext(NextPanel& next, int step) {
    if constexpr (kFetchesEvenly && kSource == Source::kL2) {
      if ((step + 1) * Step::kColsPerStep % kColsPerFetch == 0) next.FetchOne();
    } else {
      next.Fetch<kSource>(step);
    }
  }

  // Multiplies one block of rows with `kHalves` halves of a panel.
  template <int kRows, int kHalves, Source kSource>
  static DRAY_INLINE void Tile(const TileArgs& args, int first_half, NextPanel next) {
    constexpr int kCycles = Step::kWeightCycles + kRows * Step::kRowCycles;
    const std::byte* w = args.w + first_half * kLineBytes;
    const std::byte* x = args.x;
    Vec acc[kRows][kHalves];
#pragma GCC unroll kMaxRows
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
      for (int h = 0; h < kHalves; ++h) {
        const float* sums = args.acc_out + r * kPanelRows + (first_half + h) * kLanes;
        acc[r][h] = kAddsToSums ? Load(sums) : Zero();
      }
    }
    for (int64_t line = 0; line < args.x_lines; ++line) {
#pragma GCC unroll kUnrolledSteps
      for (int s = 0; s < Step::kStepsPerLine; ++s) {
        PrefetchStep<kSource, kCycles, Step::kAhead>(w, kHalves);
        FetchNext<kSource>(next, s);
        Step::template Run<kRows, kHalves>(w, x + s * Step::kActivationBytes, acc);
        w += kStepBytes;
      }
      x += kRows * kLineBytes;
    }
#pragma GCC unroll kMaxRows
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
      for (int h = 0; h < kHalves; ++h) {
        Store(args.acc_out + r * kPanelRows + (first_half + h) * kLanes, acc[r][h]);
      }
    }
  }

  static constexpr bool HoldsBothHalves(int rows) {
    return 2 * rows + Step::kTemporaries <= kAccumulators;
  }
  template <int kRows, Source kSource>
  static void Panel(const TileArgs& args) {
    RunHalves<FloatKernel, kRows, kSource>(args);
  }
};

// Four k of int8 weights as bf16, which is exact, times kByteUnit. The channels' scales are applied
// to the sums.
#ifdef __AVX512BF16__
// The float that byte 1 becomes. Bytes are converted at the top of 32-bit integers.
constexpr float kByteUnit = 0x1p24f;

// Bytes 0 and 1, and bytes 2 and 3, of each lane as pairs.
struct BytePairs {
  __m512i first, second;

  explicit DRAY_INLINE BytePairs(ByteVec bytes) {
    const __m512i top = _mm512_set1_epi32(static_cast<int>(0xFF000000u));
    const __m512i w = _mm512_xor_si512(bytes.v, _mm512_set1_epi8(static_cast<char>(0x80)));
    first = Pairs(_mm512_maskz_slli_epi32(0xFFFF, w, 24), ToTop(w, 1));
    second = Pairs(ToTop(w, 2), _mm512_and_si512(w, top));
  }

 private:
  // Byte i of each lane as its highest byte, above zeros.
  static DRAY_INLINE __m512i ToTop(__m512i w, int i) {
    const __m128i lanes = _mm_setr_epi8(-1, -1, -1, static_cast<char>(i),      //
                                        -1, -1, -1, static_cast<char>(4 + i),  //
                                        -1, -1, -1, static_cast<char>(8 + i),  //
                                        -1, -1, -1, static_cast<char>(12 + i));
    return _mm512_shuffle_epi8(w, _mm512_maskz_broadcast_i32x4(0xFFFF, lanes));
  }
  // The upper halves of two vectors' floats.
  static DRAY_INLINE __m512i Pairs(__m512i a, __m512i b) {
    const __m512i odd_words = _mm512_add_epi32(_mm512_set1_epi32(0x00210001), Twice());
    return _mm512_permutex2var_epi16(_mm512_castps_si512(ToFloats(IntVec{a}).v), odd_words,
                                     _mm512_castps_si512(ToFloats(IntVec{b}).v));
  }
  // Lane i has 2 * i in both halves.
  static DRAY_INLINE __m512i Twice() {
    return _mm512_setr_epi32(0x00000000, 0x00020002, 0x00040004, 0x00060006, 0x00080008, 0x000A000A,
                             0x000C000C, 0x000E000E, 0x00100010, 0x00120012, 0x00140014, 0x00160016,
                             0x00180018, 0x001A001A, 0x001C001C, 0x001E001E);
  }
};

DRAY_INLINE void ExpandBytes(const std::byte* w, std::byte* first, std::byte* second) {
  const BytePairs pairs(LoadBytes(w));
  _mm512_store_si512(first, pairs.first);
  _mm512_store_si512(second, pairs.second);
}

struct StepI8 {
  static constexpr int kStepsPerLine = 8;
  static constexpr int kColsPerStep = 4;
  static constexpr int kActivationBytes = 8;
  // Both halves of 12 rows are computed at once, although the compiler then spills some constants:
  // that reached .78 of the peak arithmetic. One half after the other reached .56, because each
  // accumulator waits for its own last sum.
  static constexpr int kTemporaries = 1;
  static constexpr int kRowCycles = 4;
  static constexpr int kWeightCycles = 10;
  static constexpr int64_t kAhead = kReadingAhead;
  template <int kRows, int kHalves>
  static DRAY_INLINE void Run(const std::byte* w, const std::byte* x, Vec (&acc)[kRows][kHalves]) {
    __m512i weights[2][kHalves];
    for (int h = 0; h < kHalves; ++h) {
      const BytePairs pairs(LoadBytes(w + h * kLineBytes));
      weights[0][h] = pairs.first;
      weights[1][h] = pairs.second;
    }
    AddPair(weights[0], x, 0, acc);
    AddPair(weights[1], x, 1, acc);
  }
};
#else
constexpr float kByteUnit = 1.0f;

DRAY_INLINE void ExpandBytes(const std::byte* w, std::byte* first, std::byte* second) {
  const ByteVec bytes = LoadBytes(w);
  StorePairs(first, ByteLess128<0>(bytes), ByteLess128<1>(bytes));
  StorePairs(second, ByteLess128<2>(bytes), ByteLess128<3>(bytes));
}

struct StepI8 {
  static constexpr int kStepsPerLine = 4;
  static constexpr int kColsPerStep = 4;
  static constexpr int kActivationBytes = 16;
  static constexpr int kTemporaries = 3;
  static constexpr int kRowCycles = 8;
  static constexpr int kWeightCycles = 10;
  template <int kByte, int kRows, int kHalves>
  static DRAY_INLINE void RunOne(const ByteVec (&bytes)[kHalves], const std::byte* x,
                                 Vec (&acc)[kRows][kHalves]) {
    Vec weights[kHalves];
    for (int h = 0; h < kHalves; ++h) weights[h] = ByteLess128<kByte>(bytes[h]);
    AddColumn(weights, x, kByte, acc);
  }
  static constexpr int64_t kAhead = kReadingAhead;
  template <int kRows, int kHalves>
  static DRAY_INLINE void Run(const std::byte* w, const std::byte* x, Vec (&acc)[kRows][kHalves]) {
    ByteVec bytes[kHalves];
    for (int h = 0; h < kHalves; ++h) bytes[h] = LoadBytes(w + h * kLineBytes);
    RunOne<0>(bytes, x, acc);
    RunOne<1>(bytes, x, acc);
    RunOne<2>(bytes, x, acc);
    RunOne<3>(bytes, x, acc);
  }
};
#endif

// Converts the weights of a panel from bytes to bf16.
void Expand(const std::byte* w, int64_t cols, std::byte* out) {
  for (int64_t c = 0; c < cols; c += StepI8::kColsPerStep) {
    for (int h = 0; h < 2; ++h, w += kLineBytes, out += kLineBytes) {
      ExpandBytes(w, out, out + kStepBytes);
    }
    out += kStepBytes;
  }
}

// For one or two blocks of rows, bytes are converted on their way to the registers. For more
// blocks, the first block converts the panel to bf16 in memory, for all blocks. The products and
// their order are the same.
struct Int8FloatKernel : FloatKernel<StepBF16> {
  static constexpr int64_t kPartCols = 0;
  template <int kRows, Source kSource>
  static void Panel(const TileArgs& args) {
    TileArgs inner = args;
    if constexpr (kSource != Source::kL2) {
      FloatKernel<StepI8>::Panel<kRows, kSource>(inner);
    } else {
      if (args.block == 0) Expand(args.w, args.x_lines * kLineCols, args.expanded);
      inner.w = args.expanded;
      FloatKernel<StepBF16>::Panel<kRows, kSource>(inner);
    }
    const float* scales = args.panel_scales;
    const Vec unit = Set1(1.0f / kByteUnit);
    for (int r = 0; r < kRows; ++r) {
      for (int c = 0; c < kPanelRows; c += kLanes) {
        float* acc = args.acc_out + r * kPanelRows + c;
        Store(acc, Load(acc) * unit * Load(scales + c));
      }
    }
  }
};

// Packs the activations of one row into its lines of a block, which are `line_stride` bytes apart.
template <typename StoreLine>
void PackRow(const float* x, int64_t cols, int64_t padded_cols, std::byte* out, int64_t line_stride,
             int64_t line_cols, const StoreLine& store) {
  for (int64_t c = 0; c < padded_cols; c += line_cols, out += line_stride) {
    for (int64_t i = 0; i < line_cols; i += kLanes) {
      const int64_t n = cols - c - i;
      store(out, i, n > 0 ? LoadUpTo(x + c + i, n) : Zero());
    }
  }
}

template <typename StoreLine>
void PackBlocks(const PackActivationsTask& task, Range blocks, int64_t line_cols,
                const StoreLine& store) {
  const int64_t lines = task.padded_cols / line_cols;
  for (int64_t b = blocks.begin; b < blocks.end; ++b) {
    const int64_t begin = task.blocks.Begin(b), rows = task.blocks.Begin(b + 1) - begin;
    std::byte* out = task.out + begin * lines * kLineBytes;
    for (int64_t r = 0; r < rows; ++r) {
      PackRow(RowToPack(task, begin + r), task.cols, task.padded_cols, out + r * kLineBytes,
              rows * kLineBytes, line_cols, store);
    }
  }
}

}  // namespace

void PackActivationsF32(const PackActivationsTask& task, Range blocks) {
  PackBlocks(task, blocks, kLanes,
             [](std::byte* line, int64_t, Vec v) { Store(reinterpret_cast<float*>(line), v); });
}

void PackActivationsBF16(const PackActivationsTask& task, Range blocks) {
  if constexpr (kHasBF16Dot) {
    PackBlocks(task, blocks, 2 * kLanes, [](std::byte* line, int64_t i, Vec v) {
      StoreBF16(reinterpret_cast<uint16_t*>(line) + i, v);
    });
  } else {
    // Rounded to bf16, but kept as f32: that is what this set's loop multiplies.
    PackBlocks(task, blocks, kLanes, [](std::byte* line, int64_t, Vec v) {
      uint16_t rounded[kLanes];
      StoreBF16(rounded, v);
      Store(reinterpret_cast<float*>(line), LoadBF16(rounded));
    });
  }
}

void LinearF32(const LinearTask& task, Range panels) {
  RunPanels<FloatKernel<StepF32>>(task, panels);
}
void LinearF16(const LinearTask& task, Range panels) {
  RunPanels<FloatKernel<StepF16>>(task, panels);
}
void LinearBF16(const LinearTask& task, Range panels) {
  RunPanels<FloatKernel<StepBF16>>(task, panels);
}
void LinearI8Float(const LinearTask& task, Range panels) {
  RunPanels<Int8FloatKernel>(task, panels);
}

}  // namespace dray::kernels::DRAY_ISA
