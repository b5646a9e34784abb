// The kernel of weights in groups that keeps the float sums of its outputs in memory (the first-level
// cache), so that all registers hold integer sums. For instruction sets with few registers.
#pragma once

#include <cstdint>

#include "kernels/cpu/isa/group_steps_inl.h"

namespace dray::kernels::DRAY_ISA {
namespace {

template <typename Step, int kGroup, ZeroPoint kZeroPoint>
struct MemoryGroupKernel : GroupShape<Step, kGroup, kZeroPoint> {
  using Shape = GroupShape<Step, kGroup, kZeroPoint>;
  using Sum = typename Step::Sum;
  static constexpr int kUnits = kGroup / Shape::kUnit;

  // Sets `totals` to the sums of a group's (q - kZero) * x. The arguments are those of AddUnit, and
  // `input_sums` has kRows sums for each unit.
  template <int kRows, int kHalves, Source kSource>
  static DRAY_INLINE void SumGroup(const std::byte* w, const std::byte* x, int first_col,
                                   const int32_t* input_sums, NextPanel& next,
                                   IntVec (&totals)[kRows][kHalves]) {
    for (int r = 0; r < kRows && kUnits > 1; ++r) {
      for (int h = 0; h < kHalves; ++h) totals[r][h] = IntSet1(0);
    }
#pragma GCC unroll 1
    for (int unit = 0; unit < kUnits; ++unit) {
      Sum sums[kRows][kHalves];
      for (int r = 0; r < kRows; ++r) {
        for (int h = 0; h < kHalves; ++h) sums[r][h].Start(input_sums[r]);
      }
      w = Shape::template AddUnit<kRows, kHalves, kSource>(w, x, first_col, next, sums);
      for (int r = 0; r < kRows; ++r) {
        for (int h = 0; h < kHalves; ++h) {
          const IntVec total = sums[r][h].Total();
          totals[r][h] = kUnits > 1 ? totals[r][h] + total : total;
        }
      }
      x += Shape::kUnit / Shape::kLineCols * kRows * kLineBytes;
      input_sums += kRows;
    }
  }

  // Adds one group to the float sums at `acc`, [rows][kPanelRows]. The first column of the group is
  // `first_col` of the iteration that `x` belongs to.
  template <int kRows, int kHalves, Source kSource>
  static DRAY_INLINE void Group(const std::byte* header, int first_half, const std::byte* x,
                                int first_col, const int32_t* input_sums, NextPanel& next,
                                float* acc) {
    PrefetchStep<kSource, Shape::template kCycles<kRows>>(header, Shape::kHeaderLines);
    IntVec totals[kRows][kHalves];
    SumGroup<kRows, kHalves, kSource>(header + (Shape::kHeaderLines + first_half) * kLineBytes, x,
                                      first_col, input_sums, next, totals);
    const auto* scales = reinterpret_cast<const uint16_t*>(header) + first_half * kLanes;
    for (int h = 0; h < kHalves; ++h) {
      const Vec scale = LoadF16(scales + h * kLanes);
      for (int r = 0; r < kRows; ++r) {
        float* sum = acc + r * kPanelRows + h * kLanes;
        Vec group;
        if constexpr (Shape::kHasZeros) {
          int32_t x_sum = 0;
          for (int unit = 0; unit < kUnits; ++unit) x_sum += InputSum(input_sums[unit * kRows + r]);
          const Vec minus_zero = LoadF16(scales + (2 + h) * kLanes);
          group = Fma(minus_zero, Set1(static_cast<float>(x_sum)),
                      ToFloats(totals[r][h] + IntSet1(Sum::kZero * x_sum)));
        } else {
          group = ToFloats(totals[r][h]);
        }
        Store(sum, Fma(group, scale, Load(sum)));
      }
    }
  }

  template <int kRows, int kHalves, Source kSource>
  static DRAY_INLINE void Tile(const TileArgs& args, int first_half, NextPanel next) {
    const std::byte* w = args.w;
    const std::byte* x = args.x;
    const int32_t* input_sums = args.input_sums;
    float* acc = args.acc_out + first_half * kLanes;
    for (int r = 0; r < kRows; ++r) {
      for (int h = 0; h < kHalves; ++h) Store(acc + r * kPanelRows + h * kLanes, Zero());
    }
    for (int64_t line = 0; line < args.x_lines; line += Shape::kLinesPerIteration) {
#pragma GCC unroll kUnrolledSteps
      for (int first_col = 0; first_col < Shape::kIterationCols; first_col += kGroup) {
        Group<kRows, kHalves, kSource>(w, first_half, x, first_col, input_sums, next, acc);
        w += Shape::kGroupBytes;
        input_sums += kUnits * kRows;
      }
      x += Shape::kLinesPerIteration * kRows * kLineBytes;
    }
    for (int r = 0; r < kRows; ++r) {
      for (int h = 0; h < kHalves; ++h) {
        float* sum = acc + r * kPanelRows + h * kLanes;
        Store(sum, Load(sum) * Set1(args.scales[r]));
      }
    }
  }

  static constexpr bool HoldsBothHalves(int rows) { return rows <= 2; }
  template <int kRows, Source kSource>
  static void Panel(const TileArgs& args) {
    RunHalves<MemoryGroupKernel, kRows, kSource>(args);
  }
};

}  // namespace
}  // namespace dray::kernels::DRAY_ISA
