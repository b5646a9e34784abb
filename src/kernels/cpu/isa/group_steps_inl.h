// What the kernels of weights in groups have in common: the steps of each format, and the shape of a
// group.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/cpu/isa/integer_sums_inl.h"
#include "kernels/cpu/isa/linear_loop_inl.h"
#include "kernels/cpu/isa/vec.h"

namespace dray::kernels::DRAY_ISA {
namespace {

// The steps of each format: 16 channels' vectors of kHalves neighbouring lines at `w`; the
// activations of row r lie at x + r * kLineBytes. Both lines take about kRowCycles for each row and
// kWeightCycles to prepare the weights.
struct NibbleStep {
  using Sum = NibbleSum;
  static constexpr int kCols = 8;
  static constexpr int kRowCycles = 4;
  static constexpr int kWeightCycles = 4;
  template <int kRows, int kHalves>
  static DRAY_INLINE void Run(const std::byte* w, const std::byte* x, Sum (&sums)[kRows][kHalves]) {
    if constexpr (!kGroupSumsInRegisters) return RunInTurn(w, x, sums);
    Sum::Weights low[kHalves], high[kHalves];
    for (int h = 0; h < kHalves; ++h) {
      const ByteVec nibbles = LoadBytes(w + h * kLineBytes);
      low[h] = Sum::Prepare(LowNibbles(nibbles));
      high[h] = Sum::Prepare(HighNibbles(nibbles));
    }
    for (int r = 0; r < kRows; ++r) {
      const InputQuad first = LoadInputs(x + r * kLineBytes);
      for (int h = 0; h < kHalves; ++h) sums[r][h].Add(low[h], first);
      const InputQuad second = LoadInputs(x + r * kLineBytes + kQuadBytes);
      for (int h = 0; h < kHalves; ++h) sums[r][h].Add(high[h], second);
    }
  }

 private:
  // The same with fewer registers: low and high nibbles one after the other.
  template <int kRows, int kHalves>
  static DRAY_INLINE void RunInTurn(const std::byte* w, const std::byte* x,
                                    Sum (&sums)[kRows][kHalves]) {
#pragma GCC unroll 2
    for (int part = 0; part < 2; ++part) {
      Sum::Weights weights[kHalves];
      for (int h = 0; h < kHalves; ++h) {
        const ByteVec nibbles = LoadBytes(w + h * kLineBytes);
        weights[h] = Sum::Prepare(part == 0 ? LowNibbles(nibbles) : HighNibbles(nibbles));
      }
      for (int r = 0; r < kRows; ++r) {
        const InputQuad quad = LoadInputs(x + r * kLineBytes + part * kQuadBytes);
        for (int h = 0; h < kHalves; ++h) sums[r][h].Add(weights[h], quad);
      }
    }
  }
};

struct ByteStep {
  using Sum = ByteSum;
  static constexpr int kCols = 4;
  static constexpr int kRowCycles = kByteRowCycles;
  static constexpr int kWeightCycles = 0;
  template <int kRows, int kHalves>
  static DRAY_INLINE void Run(const std::byte* w, const std::byte* x, Sum (&sums)[kRows][kHalves]) {
    Sum::Weights weights[kHalves];
    for (int h = 0; h < kHalves; ++h) weights[h] = Sum::Prepare(LoadBytes(w + h * kLineBytes));
    for (int r = 0; r < kRows; ++r) {
      const InputQuad quad = LoadInputs(x + r * kLineBytes);
      for (int h = 0; h < kHalves; ++h) sums[r][h].Add(weights[h], quad);
    }
  }
};

// A group is a header of scales, and perhaps zero points, and units of columns.
template <typename Step, int kGroup, ZeroPoint kZeroPoint>
struct GroupShape {
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

  template <int kRows>
  static constexpr int kCycles = Step::kWeightCycles + kRows* Step::kRowCycles;  // of a step

  // Adds the steps of one unit, the first column of which is `first_col` of the iteration that `x`
  // belongs to.
  template <int kRows, int kHalves, Source kSource>
  static DRAY_INLINE const std::byte* AddUnit(const std::byte* w, const std::byte* x, int first_col,
                                              NextPanel& next,
                                              typename Step::Sum (&sums)[kRows][kHalves]) {
#pragma GCC unroll kUnrolledSteps
    for (int s = 0; s < kUnit / Step::kCols; ++s) {
      PrefetchStep<kSource, kCycles<kRows>>(w, kHalves);
      next.Fetch<kSource>(s);
      const int64_t col = first_col + s * Step::kCols;
      Step::template Run<kRows, kHalves>(
          w, x + col / kLineCols * kRows * kLineBytes + col % kLineCols * kInputBytes, sums);
      w += kStepBytes;
    }
    return w;
  }
};

}  // namespace
}  // namespace dray::kernels::DRAY_ISA
