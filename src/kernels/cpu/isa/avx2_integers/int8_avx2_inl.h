// The kernel of 8-bit weights that have a scale for each row, with AVX2. Included by linear_int.cc.
//
// One block of rows is in int8_streamed_avx2_inl.h. For more blocks, the first one expands the panel
// in memory to the magnitudes and masks of MaskedBytes, for all blocks.
#pragma once

#include <cstdint>

#include "kernels/cpu/isa/avx2_integers/int8_streamed_avx2_inl.h"
#include "kernels/cpu/isa/integer_sums_inl.h"
#include "kernels/cpu/isa/linear_loop_inl.h"

namespace dray::kernels::DRAY_ISA {
namespace {

// A panel in memory: 32 channels' sums of |w| & m, then [vec][step][|w|, m].
struct ExpandedPanel {
  static constexpr int64_t kStride = 2 * kVecBytes;

  static DRAY_INLINE std::byte* Sums(const TileArgs& args, int vec) {
    return args.expanded + vec * kVecBytes;
  }
  static DRAY_INLINE std::byte* Begin(const TileArgs& args, int vec) {
    return args.expanded + kInt8ScaleBytes + vec * args.x_lines * kQuadsPerLine * kStride;
  }
  static DRAY_INLINE MaskedBytes Load(const std::byte* w) {
    return {LoadPairs(w), LoadPairs(w + kVecBytes)};
  }
};

// Expands eight channels of a panel.
void ExpandVec(const TileArgs& args, int vec) {
  const std::byte* w = args.w + vec * kVecBytes;
  std::byte* out = ExpandedPanel::Begin(args, vec);
  __m256i sums = _mm256_setzero_si256();
  for (int64_t s = 0; s < args.x_lines * kQuadsPerLine; ++s) {
    const auto bytes = MaskedBytes::Of(SignedBytes::Of(LoadPairs(w)));
    __m256i negatives = _mm256_setzero_si256();
    bytes.AddNegativesTo(negatives);
    sums = _mm256_sub_epi32(sums, _mm256_madd_epi16(negatives, Ones16()));
    _mm256_store_si256(reinterpret_cast<__m256i*>(out), bytes.magnitudes);
    _mm256_store_si256(reinterpret_cast<__m256i*>(out + kVecBytes), bytes.masks);
    w += kStepBytes;
    out += ExpandedPanel::kStride;
  }
  _mm256_store_si256(reinterpret_cast<__m256i*>(ExpandedPanel::Sums(args, vec)), sums);
}

struct Int8Kernel {
  static constexpr int kMaxRows = kMaxInt8Rows;
  static constexpr int64_t kLineCols = 4 * kQuadsPerLine;
  static constexpr int64_t kFetchCols = kLineCols;
  static constexpr Source kTwoBlocks = Source::kL2;

  // Multiplies a block of rows with eight channels of an expanded panel.
  template <int kRows>
  static DRAY_INLINE void ExpandedTile(const TileArgs& args, int vec, NextPanel next) {
    const std::byte* w = ExpandedPanel::Begin(args, vec);
    const std::byte* x = args.x;
    __m256i acc[kRows];
    for (__m256i& sum : acc) sum = LoadPairs(ExpandedPanel::Sums(args, vec));
    for (int64_t line = 0; line < args.x_lines; ++line) {
#pragma GCC unroll kUnrolledSteps
      for (int s = 0; s < kQuadsPerLine; ++s) {
        next.Fetch<Source::kL2>(s);
        const MaskedBytes weights = ExpandedPanel::Load(w);
        for (int r = 0; r < kRows; ++r) {
          weights.AddTo(acc[r], LoadInputs(x + r * kLineBytes + s * kQuadBytes));
        }
        w += ExpandedPanel::kStride;
      }
      x += kRows * kLineBytes;
    }
    for (int r = 0; r < kRows; ++r) StoreScaled(args, vec, r, acc[r]);
  }

  template <int kRows, Source kSource>
  static void Panel(const TileArgs& args) {
    if constexpr (kSource == Source::kMemory) {
      StreamedPanel<kRows>::Run(args);
    } else {
      if (args.block == 0) {
        for (int vec = 0; vec < kPanelVecs; ++vec) ExpandVec(args, vec);
      }
      NextPanel next = args.next;
#pragma GCC unroll 1
      for (int vec = 0; vec < kPanelVecs; ++vec) {
        ExpandedTile<kRows>(args, vec, next);
        next.lines_at_once = 0;
      }
    }
  }
};

}  // namespace
}  // namespace dray::kernels::DRAY_ISA
