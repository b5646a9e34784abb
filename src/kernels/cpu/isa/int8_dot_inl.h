// The kernel of 8-bit weights that have a scale for each row, for instruction sets that add four
// products of bytes at once. Included by linear_int.cc.
//
// Weights are stored unsigned, as q + 128, so a sum begins at -128 * (sum of the row's
// activations). Integer sums are exact, so their order does not matter.
#pragma once

#include <cstdint>

#include "kernels/cpu/isa/integer_sums_inl.h"
#include "kernels/cpu/isa/linear_loop_inl.h"
#include "kernels/cpu/isa/vec.h"

namespace dray::kernels::DRAY_ISA {
namespace {

// These sums hold all products.
DRAY_INLINE void SetLoudQuadsApart(const PackActivationsTask&, int64_t) {}

struct Int8Kernel {
  static constexpr int kMaxRows = kMaxInt8Rows;
  static constexpr int64_t kLineCols = 4 * kQuadsPerLine;
  static constexpr int64_t kFetchCols = kLineCols;
  static constexpr Source kTwoBlocks = Source::kShared;

  template <int kRows, int kHalves, Source kSource>
  static DRAY_INLINE void Tile(const TileArgs& args, int first_half, NextPanel next) {
    const std::byte* w = args.w + first_half * kLineBytes;
    const std::byte* x = args.x;
    IntVec acc[kRows][kHalves];
    for (int r = 0; r < kRows; ++r) {
      for (int h = 0; h < kHalves; ++h) acc[r][h] = IntSet1(-kByteWeightZero * args.input_sums[r]);
    }
    for (int64_t line = 0; line < args.x_lines; ++line) {
#pragma GCC unroll kUnrolledSteps
      for (int s = 0; s < kQuadsPerLine; ++s) {
        PrefetchStep<kSource, kRows * kByteRowCycles>(w, kHalves);
        next.Fetch<kSource>(s);
        ByteVec weights[kHalves];
        for (int h = 0; h < kHalves; ++h) weights[h] = LoadBytes(w + h * kLineBytes);
        for (int r = 0; r < kRows; ++r) {
          const QuadVec quad = LoadQuad(x + r * kLineBytes + s * kQuadBytes);
          for (int h = 0; h < kHalves; ++h) acc[r][h] = DotBytes(acc[r][h], weights[h], quad);
        }
        w += kStepBytes;
      }
      x += kRows * kLineBytes;
    }
    const float* scales = args.panel_scales + first_half * kLanes;
    for (int r = 0; r < kRows; ++r) {
      for (int h = 0; h < kHalves; ++h) {
        const Vec scale = Load(scales + h * kLanes) * Set1(args.scales[r]);
        Store(args.acc_out + r * kPanelRows + (first_half + h) * kLanes,
              ToFloats(acc[r][h]) * scale);
      }
    }
  }

  static constexpr bool HoldsBothHalves(int rows) {
    return 2 * rows + kIntTemporaries <= kAccumulators;
  }
  template <int kRows, Source kSource>
  static void Panel(const TileArgs& args) {
    RunHalves<Int8Kernel, kRows, kSource>(args);
  }
};

}  // namespace
}  // namespace dray::kernels::DRAY_ISA
