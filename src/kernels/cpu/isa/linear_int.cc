// Linear with 8-bit weights that have a scale for each row, and the quantisation of activations for
// all integer weights.
//
// Weights are stored unsigned, as q + 128, so a sum begins at -128 * (sum of the row's
// activations). Integer sums are exact, so their order does not matter.
#include <cstdint>

#include "kernels/cpu/isa/linear_loop_inl.h"
#include "kernels/cpu/isa/ops.h"
#include "kernels/cpu/isa/vec.h"

namespace dray::kernels::DRAY_ISA {
namespace {

constexpr int kInt8Zero = 128;

struct Int8Kernel {
  static constexpr int kMaxRows = kMaxLinearRows;
  static constexpr int64_t kLineCols = 4 * kQuadsPerLine;
  static constexpr int64_t kFetchCols = kLineCols;
  static constexpr Source kTwoBlocks = Source::kShared;

  template <int kRows, int kHalves, Source kSource>
  static DRAY_INLINE void Tile(const TileArgs& args, int first_half, NextPanel next) {
    const std::byte* w = args.w + first_half * kLineBytes;
    const std::byte* x = args.x;
    IntVec acc[kRows][kHalves];
    for (int r = 0; r < kRows; ++r) {
      for (int h = 0; h < kHalves; ++h) acc[r][h] = IntSet1(-kInt8Zero * args.group_sums[r]);
    }
    for (int64_t line = 0; line < args.x_lines; ++line) {
#pragma GCC unroll kUnrolledSteps
      for (int s = 0; s < kQuadsPerLine; ++s) {
        PrefetchStep<kSource>(w, kHalves);
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

  template <int kRows, Source kSource>
  static void Panel(const TileArgs& args) {
    if constexpr (2 * kRows + kIntTemporaries <= kAccumulators) {
      Tile<kRows, 2, kSource>(args, 0, args.next);
    } else {
      Tile<kRows, 1, kSource>(args, 0, args.next);
      Tile<kRows, 1, kSource>(args, 1, NextPanel{args.next.at, 0});
    }
  }
};

// Quantises one row: x / scale, rounded, and clamped to [-127, 127] if the task has its own scale.
// Rows are kLineBytes apart in each line of their block, and lines are `line_stride` bytes apart.
void QuantizeRow(const PackActivationsTask& task, const float* x, float& scale, std::byte* out,
                 int64_t line_stride, int32_t* sums, int64_t sum_stride) {
  const bool is_given = task.input_scale > 0.0f;
  const float peak = is_given ? 127.0f * task.input_scale : __builtin_fabsf(PeakOf(x, task.cols));
  scale = is_given ? task.input_scale : peak / 127.0f;
  const Vec inverse = Set1(peak > 0.0f ? 127.0f / peak : 0.0f);
  const Vec most = Set1(127.0f), least = Set1(-127.0f);
  const Vec magic = Set1(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
  constexpr int64_t kLineCols = 4 * kQuadsPerLine;
  for (int64_t group = 0; group < task.padded_cols; group += task.group_cols) {
    // The sum is a whole number of at most 127 * 65536, which floats add exactly.
    Vec sum = Zero();
    for (int64_t c = group; c < group + task.group_cols; c += kLanes) {
      const int64_t n = task.cols - c;
      const Vec v = n > 0 ? LoadUpTo(x + c, n) : Zero();
      const Vec clamped = is_given ? Max(least, Min(most, v * inverse)) : v * inverse;
      const Vec rounded = (clamped + magic) - magic;
      StoreQuantized(out + c / kLineCols * line_stride + c % kLineCols * kQuantizedBytes, rounded);
      sum = sum + rounded;
    }
    *sums = static_cast<int32_t>(Sum(sum));
    sums += sum_stride;
  }
}

}  // namespace

void PackActivationsInt(const PackActivationsTask& task, Range blocks) {
  const int64_t lines = task.padded_cols / (4 * kQuadsPerLine);
  const int64_t groups = task.padded_cols / task.group_cols;
  for (int64_t b = blocks.begin; b < blocks.end; ++b) {
    const int64_t begin = task.blocks.Begin(b), rows = task.blocks.Begin(b + 1) - begin;
    for (int64_t r = 0; r < rows; ++r) {
      QuantizeRow(task, RowToPack(task, begin + r), task.scales[begin + r],
                  task.out + begin * lines * kLineBytes + r * kLineBytes, rows * kLineBytes,
                  task.group_sums + begin * groups + r, rows);
    }
  }
}

void LinearI8(const LinearTask& task, Range panels) {
  if (task.layout.group > 0) return LinearGroupsI8(task, panels);
  if (!task.layout.rounds_inputs) return LinearI8Float(task, panels);
  RunPanels<Int8Kernel>(task, panels);
}

}  // namespace dray::kernels::DRAY_ISA
