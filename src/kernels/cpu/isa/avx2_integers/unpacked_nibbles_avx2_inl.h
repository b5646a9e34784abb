// Many rows times 4-bit weights in groups, with AVX2. Included by linear_groups.cc.
//
// To unpack nibbles takes every seventh instruction of a block of rows. So a piece of a panel is unpacked
// once for many blocks, and all of them are multiplied with the piece before the next one is unpacked.
// Meanwhile the float sums of the blocks lie in memory.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/cpu/isa/group_steps_inl.h"
#include "kernels/cpu/isa/integer_sums_inl.h"
#include "kernels/cpu/isa/linear_loop_inl.h"
#include "kernels/cpu/isa/vec.h"

namespace dray::kernels::DRAY_ISA {
namespace {

// With fewer blocks, unpacking pieces costs as much as it saves.
constexpr int64_t kMinBlocksToUnpack = 5;

DRAY_INLINE void StoreBytes(std::byte* p, const ByteVec& bytes) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), bytes.lo);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + sizeof(bytes.lo)), bytes.hi);
}

// Half of a panel's channels and some of its columns, [group]: a line of scales and perhaps one of
// negated zero points, as floats, then a line for each four columns.
template <int kGroup, ZeroPoint kZeroPoint>
struct HalfPiece {
  using Shape = GroupShape<NibbleStep, kGroup, kZeroPoint>;
  static constexpr int64_t kHeaderBytes = Shape::kHeaderLines * kLineBytes;
  static constexpr int64_t kGroupBytes = kHeaderBytes + kGroup / 4 * kLineBytes;

  static void Unpack(const std::byte* w, int half, int64_t groups, std::byte* out) {
    for (int64_t g = 0; g < groups; ++g, w += Shape::kGroupBytes) {
      const auto* header = reinterpret_cast<const uint16_t*>(w) + half * kLanes;
      for (int i = 0; i < Shape::kHeaderLines; ++i, out += kLineBytes) {
        Store(reinterpret_cast<float*>(out), LoadF16(header + i * kPanelRows));
      }
      const std::byte* step = w + kHeaderBytes + half * kLineBytes;
      for (int s = 0; s < kGroup / NibbleStep::kCols; ++s, step += kStepBytes) {
        const ByteVec nibbles = LoadBytes(step);
        StoreBytes(out, LowNibbles(nibbles));
        StoreBytes(out + kLineBytes, HighNibbles(nibbles));
        out += 2 * kLineBytes;
      }
    }
  }
};

// A block of rows, and half of the channels of a piece.
struct NibbleTile {
  const std::byte* w;  // HalfPiece
  const std::byte* x;
  const std::byte* next_x;  // what should be prefetched for the next block, at every line of `x`
  const int32_t* input_sums;
  int64_t lines;  // of activations
  NextPanel next;
  float* acc;  // [row][kPanelRows]
};

template <int kGroup, ZeroPoint kZeroPoint>
struct UnpackedNibbleKernel {
  using Piece = HalfPiece<kGroup, kZeroPoint>;
  using Shape = typename Piece::Shape;
  static constexpr int kMaxRows = Shape::kMaxRows;
  static constexpr int64_t kLineCols = Shape::kLineCols;
  static constexpr int64_t kFetchCols = kLineCols;
  static constexpr Source kTwoBlocks = Source::kL2;
  static constexpr int kUnits = kGroup / Shape::kUnit;

  // Adds the piece's products to tile.acc.
  template <int kRows>
  static void Run(const NibbleTile& tile) {
    NibbleTile at = tile;
    for (int64_t line = 0; line < tile.lines; line += Shape::kLinesPerIteration) {
      for (int first_col = 0; first_col < Shape::kIterationCols; first_col += kGroup) {
        AddGroup<kRows>(at, first_col);
        at.w += Piece::kGroupBytes;
        at.input_sums += kUnits * kRows;
      }
      at.x += Shape::kLinesPerIteration * kRows * kLineBytes;
    }
  }

 private:
  // Adds one group, the first column of which is `first_col` of the line at `tile.x`.
  template <int kRows>
  static DRAY_INLINE void AddGroup(NibbleTile& tile, int first_col) {
    // Else the compiler would keep the address of each sum in a register or on the stack.
    asm("" : "+r"(tile.acc));
    IntVec totals[kRows];
    for (int unit = 0; unit < kUnits; ++unit) {
      const std::byte* x = tile.x + unit * kRows * kLineBytes + first_col;
      if (first_col == 0) Prefetch<kRows>(tile);
      NibbleSum sums[kRows];
#pragma GCC unroll 16
      for (int q = 0; q < Shape::kUnit / 4; ++q) {
        const ByteVec weights =
            LoadBytes(tile.w + Piece::kHeaderBytes + (unit * Shape::kUnit / 4 + q) * kLineBytes);
        for (int r = 0; r < kRows; ++r) {
          const InputQuad inputs = LoadInputs(x + r * kLineBytes + q * kQuadBytes);
          if (q == 0) {
            sums[r].StartWith(tile.input_sums[unit * kRows + r], weights, inputs);
          } else {
            sums[r].Add(weights, inputs);
          }
          // A row ends right behind its last products. Each instruction of the end waits for the one
          // before, and meanwhile the processor multiplies the other rows.
          if (q == Shape::kUnit / 4 - 1) EndUnit<kRows>(tile, unit, r, sums[r], totals[r]);
        }
      }
    }
  }

  // Adds a unit's sum to that of the group, and, behind the last unit, to the row's float sum.
  template <int kRows>
  static DRAY_INLINE void EndUnit(const NibbleTile& tile, int unit, int r, NibbleSum& sum,
                                  IntVec& total) {
    float* out = tile.acc + r * kPanelRows;
    const auto* scales = reinterpret_cast<const float*>(tile.w);
    if (!Shape::kHasZeros && kUnits == 1) return sum.AddScaledTo(out, scales);
    total = unit == 0 ? sum.Total() : total + sum.Total();
    if (unit + 1 < kUnits) return;
    Vec group;
    if constexpr (Shape::kHasZeros) {
      int32_t x_sum = 0;
      for (int u = 0; u < kUnits; ++u) x_sum += InputSum(tile.input_sums[u * kRows + r]);
      group = Fma(Load(scales + kLineBytes / 4), Set1(static_cast<float>(x_sum)),
                  ToFloats(total + IntSet1(NibbleSum::kZero * x_sum)));
    } else {
      group = ToFloats(total);
    }
    Store(out, Fma(group, Load(scales), Load(out)));
  }

  template <int kRows>
  static DRAY_INLINE void Prefetch(NibbleTile& tile) {
    tile.next.template Fetch<Source::kL2>(0);
    // Each half of the channels prefetches half of the rows.
    for (int r = 0; r < (kRows + 1) / 2; ++r) PrefetchNear(tile.next_x + r * kLineBytes);
    tile.next_x += kRows * kLineBytes;
  }
};

template <int kGroup, ZeroPoint kZeroPoint>
class UnpackedPanel {
 public:
  // Computes a panel of the output and prefetches the panel `next` meanwhile.
  static void Run(const LinearTask& task, const PanelPart& part, int64_t next) {
    const std::byte* const next_panel = task.places.Begin(next) + task.places.skipped_bytes();
    for (int64_t begin = 0; begin < task.blocks.count; begin += kBlocksAtOnce) {
      RunBlocks(task, part, {begin, std::min(begin + kBlocksAtOnce, task.blocks.count)},
                next_panel);
    }
  }

 private:
  using Kernel = UnpackedNibbleKernel<kGroup, kZeroPoint>;
  using Piece = typename Kernel::Piece;
  // The piece (64 KiB and its scales) and the activations of the blocks (6 x 2 KiB for each) fit into the
  // second-level cache. Each call for a piece costs about as much as half a group, so pieces are long.
  static constexpr int64_t kPieceCols = 2048;
  static constexpr int64_t kBlocksAtOnce = 16;
  static constexpr int64_t kHalfBytes = kPieceCols / kGroup * Piece::kGroupBytes;

  static void RunBlocks(const LinearTask& task, const PanelPart& part, Range blocks,
                        const std::byte* next_panel) {
    alignas(64) std::byte piece[2 * kHalfBytes];
    alignas(64) float acc[kBlocksAtOnce * Kernel::kMaxRows * kPanelRows] = {};
    const std::byte* w = task.places.FirstStep(part.panel);
    Range cols;
    do {
      cols = {cols.end, std::min(cols.end + kPieceCols, task.layout.padded_cols)};
      const int64_t groups = (cols.end - cols.begin) / kGroup;
      for (int half = 0; half < 2; ++half) {
        Piece::Unpack(w, half, groups, piece + half * kHalfBytes);
      }
      w += groups * Piece::Shape::kGroupBytes;
      const bool is_last = cols.end == task.layout.padded_cols;
      float* sums = acc;
      for (int64_t b = blocks.begin; b < blocks.end; ++b) {
        const Range rows{task.blocks.Begin(b), task.blocks.Begin(b + 1)};
        if (is_last) PrefetchOutput(*task.args, rows, part);
        AddPiece(task, b, cols, piece, PartOfNext<Kernel>(task, next_panel, b, {}), sums);
        if (is_last) {
          Scale(task, rows, sums);
          Finish(*task.args, sums, rows, part);
        }
        sums += (rows.end - rows.begin) * kPanelRows;
      }
    } while (cols.end < task.layout.padded_cols);
  }

  // Multiplies the sums of rows, [row][kPanelRows], with the scales of their activations.
  static void Scale(const LinearTask& task, Range rows, float* sums) {
    for (int64_t r = rows.begin; r < rows.end; ++r) {
      for (int half = 0; half < 2; ++half, sums += kLanes)
        Store(sums, Load(sums) * Set1(task.scales[r]));
    }
  }

  // Adds the products of a block of rows and a piece to `acc`. `next` is what the block prefetches
  // with all pieces.
  static void AddPiece(const LinearTask& task, int64_t block, Range cols, const std::byte* piece,
                       const NextPanel& next, float* acc) {
    const int64_t begin = task.blocks.Begin(block), rows = task.blocks.Begin(block + 1) - begin;
    NibbleTile tile;
    tile.x = task.activations + begin * task.layout.padded_cols + cols.begin * rows;
    tile.next_x = tile.x + rows * task.layout.padded_cols;
    tile.input_sums =
        task.input_sums + begin * task.sums_per_row + cols.begin / Kernel::Shape::kUnit * rows;
    tile.lines = (cols.end - cols.begin) / Kernel::kLineCols;
    tile.next = next;
    tile.next.at += cols.begin / Kernel::kFetchCols * next.lines_at_once * kLineBytes;
    for (int half = 0; half < 2; ++half) {
      tile.w = piece + half * kHalfBytes;
      tile.acc = acc + half * kLanes;
      kTileFunctions.of[rows - 1](tile);
      tile.next.lines_at_once = 0;
      tile.next_x += rows / 2 * kLineBytes;
    }
  }

  // Indexed by the number of rows less one.
  struct TileFunctions {
    void (*of[Kernel::kMaxRows])(const NibbleTile&);
    template <int kRows = LeastRows<Kernel>(kMinBlocksToUnpack)>
    constexpr void Fill() {
      of[kRows - 1] = Kernel::template Run<kRows>;
      if constexpr (kRows < Kernel::kMaxRows) Fill<kRows + 1>();
    }
    constexpr TileFunctions() : of{} { Fill(); }
  };
  static constexpr TileFunctions kTileFunctions{};
};

}  // namespace
}  // namespace dray::kernels::DRAY_ISA
