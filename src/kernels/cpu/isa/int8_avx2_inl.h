// The kernel of 8-bit weights that have a scale for each row, with AVX2. Included by linear_int.cc.
//
// One block of rows, whose weights come from memory, uses SignedBytes. For more blocks, the first
// one expands the panel in memory to the magnitudes |w| of its weights and to masks m, all ones
// where w < 0. The other products need no instruction that competes with the multiplications for
// the same ports, as that for signs does:
//
//   w * x = |w| * (x ^ m) + (|w| & m), because x ^ m is -x - 1 where w < 0
//
// The sum of |w| & m belongs to the channel: it is what each sum begins at. x ^ m is at least -128,
// so that two products are at least -2 * 128 * 128 = -32768, which 16 bits hold.
#pragma once

#include <cstdint>
#include <type_traits>

#include "kernels/cpu/isa/integer_sums_inl.h"
#include "kernels/cpu/isa/linear_loop_inl.h"

namespace dray::kernels::DRAY_ISA {
namespace {

constexpr int kVecChannels = 8;
constexpr int kPanelVecs = kPanelRows / kVecChannels;
constexpr int64_t kVecBytes = 32;
constexpr int kColsPerStep = 4;

// Each form of weights says where the weights of a step are, and how they are multiplied. `vec` is
// the index of eight channels in the panel.
struct StoredForm {
  using Weights = SignedBytes;
  static constexpr int64_t kVecStride = kVecBytes;
  static constexpr int64_t kStepStride = kStepBytes;
  static DRAY_INLINE const std::byte* Begin(const TileArgs& args, int vec) {
    return args.w + vec * kVecBytes;
  }
  static DRAY_INLINE __m256i Start(const TileArgs&, int) { return _mm256_setzero_si256(); }
  static DRAY_INLINE Weights Load(const std::byte* w) { return SignedBytes::Of(LoadPairs(w)); }
};

struct MaskedBytes {
  __m256i magnitudes, masks;

  DRAY_INLINE void AddTo(__m256i& sum, InputQuad x) const {
    __m256i products;
    asm("vpbroadcastd %5, %0\n\tvpxor %2, %0, %0\n\tvpmaddubsw %0, %3, %0\n\t"
        "vpmaddwd %4, %0, %0\n\tvpaddd %0, %1, %1"
        : "=&x"(products), "+x"(sum)
        : "x"(masks), "x"(magnitudes), "xm"(Ones16()), "m"(*x));
  }
};

// In memory: 32 channels' sums of |w| & m, then [vec][step][|w|, m].
struct ExpandedForm {
  using Weights = MaskedBytes;
  static constexpr int64_t kVecStride = 0;  // a tile has one vector
  static constexpr int64_t kStepStride = 2 * kVecBytes;
  static DRAY_INLINE std::byte* Begin(const TileArgs& args, int vec) {
    const int64_t steps = args.x_lines * kQuadsPerLine;
    return args.expanded + kInt8ScaleBytes + vec * steps * kStepStride;
  }
  static DRAY_INLINE __m256i Start(const TileArgs& args, int vec) {
    return LoadPairs(args.expanded + vec * kVecBytes);
  }
  static DRAY_INLINE Weights Load(const std::byte* w) {
    return {LoadPairs(w), LoadPairs(w + kVecBytes)};
  }
};

// Expands eight channels of a panel.
void ExpandVec(const TileArgs& args, int vec) {
  const std::byte* w = StoredForm::Begin(args, vec);
  std::byte* out = ExpandedForm::Begin(args, vec);
  __m256i sums = _mm256_setzero_si256();
  for (int64_t s = 0; s < args.x_lines * kQuadsPerLine; ++s) {
    const SignedBytes bytes = StoredForm::Load(w);
    const __m256i masks = _mm256_cmpgt_epi8(_mm256_setzero_si256(), bytes.numbers);
    const __m256i negative = _mm256_and_si256(bytes.magnitudes, masks);
    const __m256i pairs = _mm256_maddubs_epi16(negative, _mm256_set1_epi8(1));
    sums = _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, Ones16()));
    _mm256_store_si256(reinterpret_cast<__m256i*>(out), bytes.magnitudes);
    _mm256_store_si256(reinterpret_cast<__m256i*>(out + kVecBytes), masks);
    w += StoredForm::kStepStride;
    out += ExpandedForm::kStepStride;
  }
  _mm256_store_si256(reinterpret_cast<__m256i*>(args.expanded + vec * kVecBytes), sums);
}

struct Int8Kernel {
  static constexpr int kMaxRows = kMaxInt8Rows;
  static constexpr int64_t kLineCols = kColsPerStep * kQuadsPerLine;
  static constexpr int64_t kFetchCols = kLineCols;
  static constexpr Source kTwoBlocks = Source::kL2;

  // Multiplies a block of rows with kVecs vectors of channels, the first of which is `vec`.
  template <typename Form, int kRows, int kVecs, Source kSource>
  static DRAY_INLINE void Tile(const TileArgs& args, int vec, NextPanel next) {
    const std::byte* w = Form::Begin(args, vec);
    const std::byte* x = args.x;
    __m256i acc[kRows][kVecs];
    for (int r = 0; r < kRows; ++r) {
      for (int v = 0; v < kVecs; ++v) acc[r][v] = Form::Start(args, vec + v);
    }
    for (int64_t line = 0; line < args.x_lines; ++line) {
#pragma GCC unroll kUnrolledSteps
      for (int s = 0; s < kQuadsPerLine; ++s) {
        PrefetchStep<kSource>(w, (kVecs + 1) / 2);
        next.Fetch<kSource>(s);
        for (int v = 0; v < kVecs; ++v) {
          const typename Form::Weights weights = Form::Load(w + v * Form::kVecStride);
          for (int r = 0; r < kRows; ++r) {
            weights.AddTo(acc[r][v], LoadInputs(x + r * kLineBytes + s * kQuadBytes));
          }
        }
        w += Form::kStepStride;
      }
      x += kRows * kLineBytes;
    }
    for (int v = 0; v < kVecs; ++v) {
      const int64_t channel = (vec + v) * kVecChannels;
      const __m256 scales = _mm256_loadu_ps(args.panel_scales + channel);
      for (int r = 0; r < kRows; ++r) {
        const __m256 scale = _mm256_mul_ps(scales, _mm256_set1_ps(args.scales[r]));
        _mm256_storeu_ps(args.acc_out + r * kPanelRows + channel,
                         _mm256_mul_ps(_mm256_cvtepi32_ps(acc[r][v]), scale));
      }
    }
  }

  // A tile has at most twelve accumulators: the other registers hold the operands.
  template <int kRows, Source kSource>
  static void Panel(const TileArgs& args) {
    constexpr bool kExpanded = kSource == Source::kL2;
    constexpr int kVecs = kExpanded || kRows > 6 ? 1 : kRows > 3 ? 2 : 4;
    using Form = std::conditional_t<kExpanded, ExpandedForm, StoredForm>;
    if (kExpanded && args.block == 0) {
      for (int vec = 0; vec < kPanelVecs; ++vec) ExpandVec(args, vec);
    }
    NextPanel next = args.next;
#pragma GCC unroll 1
    for (int vec = 0; vec < kPanelVecs; vec += kVecs) {
      Tile<Form, kRows, kVecs, kSource>(args, vec, next);
      next.lines_at_once = 0;
    }
  }
};

}  // namespace
}  // namespace dray::kernels::DRAY_ISA
