// The kernel of weights in groups that keeps the float sums of its outputs in registers, beside the
// integer sums of the group. For instruction sets with many or wide registers.
//
// With zero points, the negated zero point times the sum of the activations is added to a group's
// sum as a float.
#pragma once

#include <cstdint>

#include "kernels/cpu/isa/group_steps_inl.h"

namespace dray::kernels::DRAY_ISA {
namespace {

template <typename Step, int kGroup, ZeroPoint kZeroPoint>
struct RegisterGroupKernel : GroupShape<Step, kGroup, kZeroPoint> {
  using Shape = GroupShape<Step, kGroup, kZeroPoint>;
  using Sum = typename Step::Sum;

  // Adds one group, the first column of which is `first_col` of the iteration that `x` belongs to.
  template <int kRows, int kHalves, Source kSource>
  static DRAY_INLINE void Group(const std::byte* header, int first_half, const std::byte* x,
                                int first_col, const int32_t* input_sums, NextPanel& next,
                                Vec (&acc)[kRows][kHalves]) {
    PrefetchStep<kSource, Shape::template kCycles<kRows>>(header, Shape::kHeaderLines);
    Sum sums[kRows][kHalves];
    for (int r = 0; r < kRows; ++r) {
      for (int h = 0; h < kHalves; ++h) sums[r][h].Start(Shape::kHasZeros ? 0 : input_sums[r]);
    }
    const std::byte* w = header + (Shape::kHeaderLines + first_half) * kLineBytes;
#pragma GCC unroll 1
    for (int unit = 0; unit < kGroup; unit += Shape::kUnit) {
      w = Shape::template AddUnit<kRows, kHalves, kSource>(w, x, first_col, next, sums);
      x += Shape::kUnit / Shape::kLineCols * kRows * kLineBytes;
    }
    const auto* scales = reinterpret_cast<const uint16_t*>(header) + first_half * kLanes;
    for (int h = 0; h < kHalves; ++h) {
      const Vec scale = LoadF16(scales + h * kLanes);
      if constexpr (Shape::kHasZeros) {
        const Vec minus_zero = LoadF16(scales + (2 + h) * kLanes);
        for (int r = 0; r < kRows; ++r) {
          const Vec x_sum = Set1(static_cast<float>(input_sums[r]));
          acc[r][h] = Fma(Fma(minus_zero, x_sum, ToFloats(sums[r][h].Total())), scale, acc[r][h]);
        }
      } else {
        for (int r = 0; r < kRows; ++r)
          acc[r][h] = Fma(ToFloats(sums[r][h].Total()), scale, acc[r][h]);
      }
    }
  }

  template <int kRows, int kHalves, Source kSource>
  static DRAY_INLINE void Tile(const TileArgs& args, int first_half, NextPanel next) {
    const std::byte* w = args.w;
    const std::byte* x = args.x;
    const int32_t* input_sums = args.input_sums;
    Vec acc[kRows][kHalves];
    for (int r = 0; r < kRows; ++r) {
      for (int h = 0; h < kHalves; ++h) acc[r][h] = Zero();
    }
    for (int64_t line = 0; line < args.x_lines; line += Shape::kLinesPerIteration) {
#pragma GCC unroll kUnrolledSteps
      for (int first_col = 0; first_col < Shape::kIterationCols; first_col += kGroup) {
        Group<kRows, kHalves, kSource>(w, first_half, x, first_col, input_sums, next, acc);
        w += Shape::kGroupBytes;
        input_sums += kRows;
      }
      x += Shape::kLinesPerIteration * kRows * kLineBytes;
    }
    for (int r = 0; r < kRows; ++r) {
      for (int h = 0; h < kHalves; ++h) {
        Store(args.acc_out + r * kPanelRows + (first_half + h) * kLanes,
              acc[r][h] * Set1(args.scales[r]));
      }
    }
  }

  static constexpr bool HoldsBothHalves(int rows) {
    return 4 * rows + kIntTemporaries <= kAccumulators;
  }
  template <int kRows, Source kSource>
  static void Panel(const TileArgs& args) {
    RunHalves<RegisterGroupKernel, kRows, kSource>(args);
  }
};

}  // namespace
}  // namespace dray::kernels::DRAY_ISA
