// One block of rows times a panel of 8-bit weights that have a scale for each row, with AVX2. Included
// by int8_avx2_inl.h.
//
// With more than three rows, the registers cannot hold the sums of all 32 channels. The panel is then
// computed in pieces, each with one line of activations (64 columns, 2 KiB of weights). The panel is
// read once and in ascending order. While a piece lies in the first-level cache, tiles of two rows and
// 16 channels take turns, and their sums wait in that cache. Two rows share the loads of weights and two
// vectors those of activations, and any number of rows leaves registers to spare: on Zen 3 such tiles
// reach 3.7 thousand million vectors of 32 products a second.
#pragma once

#include <cstdint>

#include "kernels/cpu/isa/avx2_integers/loud_quads_avx2_inl.h"
#include "kernels/cpu/isa/integer_sums_inl.h"
#include "kernels/cpu/isa/linear_loop_inl.h"

namespace dray::kernels::DRAY_ISA {
namespace {

constexpr int kVecChannels = 8;
constexpr int kPanelVecs = kPanelRows / kVecChannels;
constexpr int64_t kVecBytes = 32;
// How often NextPanel::FetchOne is called for a line of activations.
constexpr int kEvenFetchesPerLine = 16;

// `Weights` is SignedBytes or PairedBytes.
template <int kRows, typename Weights, Source kSource>
class StreamedPanel {
 public:
  // Multiplies with the whole panel and stores the scaled sums.
  static DRAY_INLINE void Run(const TileArgs& args) {
    StreamedPanel panel(args.next);
    const int64_t lines = kTurns == 1 ? args.x_lines : 1;  // of a piece
    for (int64_t line = 0; line < args.x_lines; line += lines) {
      const std::byte* w = args.w + line * kLineWeightBytes;
      const std::byte* x = args.x + line * kRows * kLineBytes;
#pragma GCC unroll 1
      for (int turn = 0; turn < kTurns; ++turn) {
#pragma GCC unroll 1
        for (int tile = 0; tile < kRows / kTileRows; ++tile) {
          panel.AddPiece<kTileRows>(w, x, lines, turn, tile);
        }
        if constexpr (kRows % kTileRows != 0) {
          panel.AddPiece<kRows % kTileRows>(w, x, lines, turn, kTiles - 1);
        }
      }
    }
    panel.Finish(args);
  }

 private:
  // A tile has at most twelve sums: the other registers hold the operands. Where two rows a tile leave
  // one over, it is the last tile.
  static constexpr int kVecs = kRows > 3 ? 2 : 4;
  static constexpr int kTurns = kPanelVecs / kVecs;
  static constexpr int kTileRows = kRows > 3 ? 2 : kRows;
  static constexpr int kTiles = (kRows - 1) / kTileRows + 1;
  static constexpr int64_t kLineWeightBytes = kQuadsPerLine * kStepBytes;

  explicit StreamedPanel(const NextPanel& next) : next_(next) {
    for (auto& turn : sums_) {
      for (auto& row : turn) {
        for (__m256i& sum : row) sum = _mm256_setzero_si256();
      }
    }
  }

  // Adds the piece to the sums of the `turn`-th kVecs vectors of channels and of kSize rows, the
  // first of which is the `tile`-th kTileRows-th. Its part of the weights that are prefetched begins at
  // the usual distances from `fetched`.
  template <int kSize>
  DRAY_INLINE void AddPiece(const std::byte* w, const std::byte* x, int64_t lines, int turn,
                            int tile) {
    const std::byte* fetched = w + (turn * kTiles + tile) * kFetchedLines * kLineBytes;
    w += turn * kVecs * kVecBytes;
    x += tile * kTileRows * kLineBytes;
    __m256i(*sums)[kVecs] = sums_[turn] + tile * kTileRows;
    __m256i acc[kSize][kVecs];
    for (int r = 0; r < kSize; ++r) {
      for (int v = 0; v < kVecs; ++v) acc[r][v] = sums[r][v];
    }
    for (int64_t line = 0; line < lines; ++line) {
      AddLine(w, fetched, x, acc);
      w += kLineWeightBytes;
      fetched += kLineWeightBytes;
      x += kRows * kLineBytes;
    }
    for (int r = 0; r < kSize; ++r) {
      for (int v = 0; v < kVecs; ++v) sums[r][v] = acc[r][v];
    }
  }

  // Adds one line of activations.
  template <int kSize>
  DRAY_INLINE void AddLine(const std::byte* w, const std::byte* fetched, const std::byte* x,
                           __m256i (&acc)[kSize][kVecs]) {
    // Else the compiler would compute the address of each activation once for all turns, and the numbers
    // of SignedBytes once for all tiles, which fills the registers.
    asm("" : "+r"(x), "+r"(w));
#pragma GCC unroll kUnrolledSteps
    for (int s = 0; s < kQuadsPerLine; s += Weights::kSteps) {
      Fetch(s, fetched);
      typename Weights::Inputs inputs[kSize];
      for (int r = 0; r < kSize; ++r) {
        inputs[r] = Weights::Spread(LoadInputs(x + r * kLineBytes + s * kQuadBytes));
      }
      for (int v = 0; v < kVecs; ++v) {
        const auto weights = Weights::Load(w + v * kVecBytes);
        for (int r = 0; r < kSize; ++r) weights.AddTo(acc[r][v], inputs[r]);
      }
      w += Weights::kSteps * kStepBytes;
    }
  }

  // The tiles of a piece prefetch as many lines of a later piece, and some of the next panel, each tile
  // its share and that evenly over its steps. Three and five tiles fetch a few lines twice.
  static constexpr int Share(int lines) { return (lines - 1) / (kTurns * kTiles) + 1; }
  static constexpr int kFetchedLines = Share(kLineWeightBytes / kLineBytes);

  // How many of `lines` come with the steps from `step` on.
  static constexpr int AtStep(int step, int lines) {
    return (step + Weights::kSteps) * lines / kQuadsPerLine - step * lines / kQuadsPerLine;
  }

  DRAY_INLINE void Fetch(int step, const std::byte* fetched) {
    fetched += step * kFetchedLines / kQuadsPerLine * kLineBytes;
    const int lines = AtStep(step, kFetchedLines);
    if constexpr (kSource == Source::kMemory) {
      PrefetchStep<kSource, kRows * kByteRowCycles>(fetched, lines);
    } else {
      for (int i = 0; i < lines; ++i) PrefetchNear(fetched + i * kLineBytes + kNearAhead);
      for (int i = 0; i < AtStep(step, Share(kEvenFetchesPerLine)); ++i) next_.FetchOne();
    }
  }

  void Finish(const TileArgs& args) const {
#pragma GCC unroll 1
    for (int r = 0; r < kRows; ++r) {
      __m256i sums[kPanelVecs];
      for (int i = 0; i < kPanelVecs; ++i) sums[i] = sums_[i / kVecs][r][i % kVecs];
      if constexpr (Weights::kSteps == 2) AddRest(args, r, sums);
      for (int i = 0; i < kPanelVecs; ++i) {
        const int64_t channel = i * kVecChannels;
        const __m256 scale = _mm256_mul_ps(_mm256_loadu_ps(args.panel_scales + channel),
                                           _mm256_set1_ps(args.scales[r]));
        _mm256_storeu_ps(args.acc_out + r * kPanelRows + channel,
                         _mm256_mul_ps(_mm256_cvtepi32_ps(sums[i]), scale));
      }
    }
  }

  // Adds the loud quads of a row, and what PairedBytes adds too much.
  static DRAY_INLINE void AddRest(const TileArgs& args, int row, __m256i (&sums)[kPanelVecs]) {
    const __m256i start = _mm256_set1_epi32(kByteWeightZero * args.input_sums[row]);
    for (__m256i& sum : sums) sum = _mm256_sub_epi32(sum, start);
    const int32_t* ends = args.loud.ends;
    for (int32_t i = row > 0 ? ends[row - 1] : 0; i < ends[row]; i += kLoudQuadsAdded) {
      const LoudQuad* const quads = args.loud.quads + i;
      __m256i x[kLoudQuadsAdded];
      for (int q = 0; q < kLoudQuadsAdded; ++q) x[q] = _mm256_set1_epi32(quads[q].x);
      for (int v = 0; v < kPanelVecs; ++v) {
        const std::byte* const w = args.w + v * kVecBytes;
        __m256i products = _mm256_maddubs_epi16(LoadPairs(w + quads[0].weights), x[0]);
        for (int q = 1; q < kLoudQuadsAdded; ++q) {
          products = _mm256_add_epi16(products,
                                      _mm256_maddubs_epi16(LoadPairs(w + quads[q].weights), x[q]));
        }
        sums[v] = _mm256_add_epi32(sums[v], _mm256_madd_epi16(products, Ones16()));
      }
    }
  }

  NextPanel next_;
  __m256i sums_[kTurns][kRows][kVecs];
};

}  // namespace
}  // namespace dray::kernels::DRAY_ISA
