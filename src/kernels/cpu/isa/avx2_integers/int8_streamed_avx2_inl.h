// One block of rows times a panel of 8-bit weights that have a scale for each row, with AVX2. The
// weights stream from memory. Included by int8_avx2_inl.h.
//
// With more than three rows, the registers cannot hold the sums of all 32 channels. The panel is then
// computed in pieces, each with one line of activations (64 columns, 2 KiB of weights). Memory is
// read once and in ascending order. While a piece lies in the first-level cache, groups of channels
// take turns, and their sums wait in that cache.
#pragma once

#include <cstdint>

#include "kernels/cpu/isa/integer_sums_inl.h"
#include "kernels/cpu/isa/linear_loop_inl.h"

namespace dray::kernels::DRAY_ISA {
namespace {

constexpr int kVecChannels = 8;
constexpr int kPanelVecs = kPanelRows / kVecChannels;
constexpr int64_t kVecBytes = 32;

// Writes the sums of row `row` and the `vec`-th eight channels of the panel, times their scales.
DRAY_INLINE void StoreScaled(const TileArgs& args, int vec, int row, __m256i sums) {
  const int64_t channel = vec * kVecChannels;
  const __m256 scale =
      _mm256_mul_ps(_mm256_loadu_ps(args.panel_scales + channel), _mm256_set1_ps(args.scales[row]));
  _mm256_storeu_ps(args.acc_out + row * kPanelRows + channel,
                   _mm256_mul_ps(_mm256_cvtepi32_ps(sums), scale));
}

template <int kRows>
class StreamedPanel {
 public:
  // Multiplies with the whole panel and stores the scaled sums.
  static DRAY_INLINE void Run(const TileArgs& args) {
    StreamedPanel panel;
    const int64_t lines = kTurns == 1 ? args.x_lines : 1;  // of a piece
    for (int64_t line = 0; line < args.x_lines; line += lines) {
#pragma GCC unroll 1
      for (int turn = 0; turn < kTurns; ++turn) {
        panel.AddPiece(args.w + line * kLineWeightBytes, args.x + line * kRows * kLineBytes, lines,
                       turn);
      }
    }
    panel.Finish(args);
  }

 private:
  // A turn has at most twelve sums: the other registers hold the operands. Masks take more
  // instructions for each vector of weights, and fewer for each row.
  static constexpr bool kHasMasks = kRows > 4;
  static constexpr int kVecs = kHasMasks ? 1 : kRows > 3 ? 2 : 4;
  static constexpr int kTurns = kPanelVecs / kVecs;
  static constexpr int64_t kLineWeightBytes = kQuadsPerLine * kStepBytes;
  // Each turn prefetches its share of the lines of a later piece, evenly over its steps.
  static constexpr int kStepsPerFetch = kVecs == 1 ? 2 : 1;
  static constexpr int kLinesPerFetch = kVecs == 4 ? 2 : 1;

  StreamedPanel() {
    for (auto& turn : sums_) {
      for (auto& row : turn) {
        for (__m256i& sum : row) sum = _mm256_setzero_si256();
      }
    }
    for (__m256i& sum : negatives_) sum = _mm256_setzero_si256();
  }

  // Adds the piece to the sums of the `turn`-th kVecs vectors of channels.
  DRAY_INLINE void AddPiece(const std::byte* w, const std::byte* x, int64_t lines, int turn) {
    __m256i acc[kRows][kVecs];
    for (int r = 0; r < kRows; ++r) {
      for (int v = 0; v < kVecs; ++v) acc[r][v] = sums_[turn][r][v];
    }
    for (int64_t line = 0; line < lines; ++line) {
      AddLine(w + turn * kVecs * kVecBytes, w + turn * (kLineWeightBytes / kTurns), x, acc,
              negatives_[turn]);
      w += kLineWeightBytes;
      x += kRows * kLineBytes;
    }
    for (int r = 0; r < kRows; ++r) {
      for (int v = 0; v < kVecs; ++v) sums_[turn][r][v] = acc[r][v];
    }
  }

  // Adds one line of activations. Its part of the weights that are prefetched begins at the usual
  // distances from `fetched`.
  static DRAY_INLINE void AddLine(const std::byte* w, const std::byte* fetched, const std::byte* x,
                                  __m256i (&acc)[kRows][kVecs], __m256i& negatives) {
    // Else the compiler would compute the address of each activation once for all turns, which fills
    // the registers.
    asm("" : "+r"(x));
    __m256i pairs = _mm256_setzero_si256();
#pragma GCC unroll kUnrolledSteps
    for (int s = 0; s < kQuadsPerLine; ++s) {
      if (s % kStepsPerFetch == 0) {
        PrefetchStep<Source::kMemory, kRows * kByteRowCycles>(fetched, kLinesPerFetch);
        fetched += kLinesPerFetch * kLineBytes;
      }
      for (int v = 0; v < kVecs; ++v) {
        const auto bytes = SignedBytes::Of(LoadPairs(w + v * kVecBytes));
        const auto masked = MaskedBytes::Of(bytes);
        if (kHasMasks) masked.AddNegativesTo(pairs);
        for (int r = 0; r < kRows; ++r) {
          const InputQuad inputs = LoadInputs(x + r * kLineBytes + s * kQuadBytes);
          if (kHasMasks) {
            masked.AddTo(acc[r][v], inputs);
          } else {
            bytes.AddTo(acc[r][v], inputs);
          }
        }
      }
      w += kStepBytes;
    }
    if (kHasMasks) {
      negatives = _mm256_add_epi32(negatives, _mm256_madd_epi16(pairs, Ones16()));
    }
  }

  DRAY_INLINE void Finish(const TileArgs& args) const {
    for (int turn = 0; turn < kTurns; ++turn) {
      for (int v = 0; v < kVecs; ++v) {
        for (int r = 0; r < kRows; ++r) {
          StoreScaled(args, turn * kVecs + v, r,
                      _mm256_sub_epi32(sums_[turn][r][v], negatives_[turn]));
        }
      }
    }
  }

  __m256i sums_[kTurns][kRows][kVecs];
  __m256i negatives_[kTurns];  // the sums of the weights below zero; only with masks
};

}  // namespace
}  // namespace dray::kernels::DRAY_ISA
