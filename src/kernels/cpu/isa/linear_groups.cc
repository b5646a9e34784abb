// Linear with integer weights that have a scale, and perhaps a zero point, for each
// group of columns.
//
// Numbers are stored unsigned. The integer sum of a group is exact, so its order is free. Without
// zero points, the sum begins with -(half the range) * (sum of the group's activations). With zero
// points, the negated zero point times the sum of the activations is added to it as a float. The
// sums of groups are added as floats, in ascending order.
#include <algorithm>
#include <cstdint>

#include "kernels/cpu/isa/linear_loop_inl.h"
#include "kernels/cpu/isa/ops.h"
#include "kernels/cpu/isa/vec.h"

namespace dray::kernels::DRAY_ISA {
namespace {

// A step of each format: 16 channels' vectors of kHalves neighbouring lines at `w`; the activations
// of row r lie at x + r * kLineBytes.
struct NibbleStep {
  static constexpr int kCols = 8;
  static constexpr int kZero = 8;
  template <int kRows, int kHalves>
  static DRAY_INLINE void Run(const std::byte* w, const std::byte* x,
                              IntVec (&sums)[kRows][kHalves]) {
    ByteVec low[kHalves], high[kHalves];
    for (int h = 0; h < kHalves; ++h) {
      const ByteVec nibbles = LoadBytes(w + h * kLineBytes);
      low[h] = LowNibbles(nibbles);
      high[h] = HighNibbles(nibbles);
    }
    for (int r = 0; r < kRows; ++r) {
      const QuadVec first = LoadQuad(x + r * kLineBytes);
      for (int h = 0; h < kHalves; ++h) sums[r][h] = DotBytes(sums[r][h], low[h], first);
      const QuadVec second = LoadQuad(x + r * kLineBytes + kQuadBytes);
      for (int h = 0; h < kHalves; ++h) sums[r][h] = DotBytes(sums[r][h], high[h], second);
    }
  }
};

struct ByteStep {
  static constexpr int kCols = 4;
  static constexpr int kZero = 128;
  template <int kRows, int kHalves>
  static DRAY_INLINE void Run(const std::byte* w, const std::byte* x,
                              IntVec (&sums)[kRows][kHalves]) {
    ByteVec weights[kHalves];
    for (int h = 0; h < kHalves; ++h) weights[h] = LoadBytes(w + h * kLineBytes);
    for (int r = 0; r < kRows; ++r) {
      const QuadVec quad = LoadQuad(x + r * kLineBytes);
      for (int h = 0; h < kHalves; ++h) sums[r][h] = DotBytes(sums[r][h], weights[h], quad);
    }
  }
};

template <typename Step, int kGroup, ZeroPoint kZeroPoint>
struct GroupKernel {
  static constexpr bool kHasZeros = kZeroPoint == ZeroPoint::kPerGroup;
  static constexpr int kMaxRows = kMaxGroupedRows;
  static constexpr int64_t kLineCols = 4 * kQuadsPerLine;
  // The steps of a unit are unrolled. To unroll a whole group of 128 would take minutes to compile.
  static constexpr int kUnit = std::min(kGroup, 64);
  static constexpr int64_t kFetchCols = kUnit;
  static constexpr Source kTwoBlocks = Source::kL2;
  // An iteration covers whole lines and whole groups.
  static constexpr int kIterationCols = std::max(kGroup, 64);
  static constexpr int64_t kLinesPerIteration = kIterationCols / kLineCols;
  static constexpr int kHeaderLines = kHasZeros ? 2 : 1;
  static constexpr int64_t kGroupBytes =
      kHeaderLines * kLineBytes + kGroup / Step::kCols * kStepBytes;

  // Adds one group, the first column of which is `first_col` of the iteration that `x` belongs to.
  template <int kRows, int kHalves, Source kSource>
  static DRAY_INLINE void Group(const std::byte* header, int first_half, const std::byte* x,
                                int first_col, const int32_t* group_sums, NextPanel& next,
                                Vec (&acc)[kRows][kHalves]) {
    PrefetchStep<kSource>(header, kHeaderLines);
    IntVec sums[kRows][kHalves];
    for (int r = 0; r < kRows; ++r) {
      const IntVec start = IntSet1(kHasZeros ? 0 : -Step::kZero * group_sums[r]);
      for (int h = 0; h < kHalves; ++h) sums[r][h] = start;
    }
    const std::byte* w = header + (kHeaderLines + first_half) * kLineBytes;
#pragma GCC unroll 1
    for (int unit = 0; unit < kGroup; unit += kUnit) {
#pragma GCC unroll kUnrolledSteps
      for (int s = 0; s < kUnit / Step::kCols; ++s) {
        PrefetchStep<kSource>(w, kHalves);
        next.Fetch<kSource>(s);
        const int64_t col = first_col + s * Step::kCols;
        Step::template Run<kRows, kHalves>(
            w, x + col / kLineCols * kRows * kLineBytes + col % kLineCols * kQuantizedBytes, sums);
        w += kStepBytes;
      }
      x += kUnit / kLineCols * kRows * kLineBytes;
    }
    const auto* scales = reinterpret_cast<const uint16_t*>(header) + first_half * kLanes;
    for (int h = 0; h < kHalves; ++h) {
      const Vec scale = LoadF16(scales + h * kLanes);
      if constexpr (kHasZeros) {
        const Vec minus_zero = LoadF16(scales + (2 + h) * kLanes);
        for (int r = 0; r < kRows; ++r) {
          const Vec x_sum = Set1(static_cast<float>(group_sums[r]));
          acc[r][h] = Fma(Fma(minus_zero, x_sum, ToFloats(sums[r][h])), scale, acc[r][h]);
        }
      } else {
        for (int r = 0; r < kRows; ++r) acc[r][h] = Fma(ToFloats(sums[r][h]), scale, acc[r][h]);
      }
    }
  }

  template <int kRows, int kHalves, Source kSource>
  static DRAY_INLINE void Tile(const TileArgs& args, int first_half, NextPanel next) {
    const std::byte* w = args.w;
    const std::byte* x = args.x;
    const int32_t* group_sums = args.group_sums;
    Vec acc[kRows][kHalves];
    for (int r = 0; r < kRows; ++r) {
      for (int h = 0; h < kHalves; ++h) acc[r][h] = Zero();
    }
    for (int64_t line = 0; line < args.x_lines; line += kLinesPerIteration) {
#pragma GCC unroll kUnrolledSteps
      for (int first_col = 0; first_col < kIterationCols; first_col += kGroup) {
        Group<kRows, kHalves, kSource>(w, first_half, x, first_col, group_sums, next, acc);
        w += kGroupBytes;
        group_sums += kRows;
      }
      x += kLinesPerIteration * kRows * kLineBytes;
    }
    for (int r = 0; r < kRows; ++r) {
      for (int h = 0; h < kHalves; ++h) {
        Store(args.acc_out + r * kPanelRows + (first_half + h) * kLanes,
              acc[r][h] * Set1(args.scales[r]));
      }
    }
  }

  template <int kRows, Source kSource>
  static void Panel(const TileArgs& args) {
    if constexpr (4 * kRows + kIntTemporaries <= kAccumulators) {
      Tile<kRows, 2, kSource>(args, 0, args.next);
    } else {
      Tile<kRows, 1, kSource>(args, 0, args.next);
      Tile<kRows, 1, kSource>(args, 1, NextPanel{args.next.at, 0});
    }
  }
};

template <typename Step, int kGroup>
void RunGroups(const LinearTask& task, Range panels) {
  if (task.layout.has_zeros()) {
    RunPanels<GroupKernel<Step, kGroup, ZeroPoint::kPerGroup>>(task, panels);
  } else {
    RunPanels<GroupKernel<Step, kGroup, ZeroPoint::kNone>>(task, panels);
  }
}

template <typename Step>
void RunAnyGroups(const LinearTask& task, Range panels) {
  switch (task.layout.group) {
    case 32:
      return RunGroups<Step, 32>(task, panels);
    case 128:
      return RunGroups<Step, 128>(task, panels);
    default:
      return RunGroups<Step, 64>(task, panels);
  }
}

}  // namespace

void LinearI4(const LinearTask& task, Range panels) { RunAnyGroups<NibbleStep>(task, panels); }
void LinearGroupsI8(const LinearTask& task, Range panels) { RunAnyGroups<ByteStep>(task, panels); }

}  // namespace dray::kernels::DRAY_ISA
