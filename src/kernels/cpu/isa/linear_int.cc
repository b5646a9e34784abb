// Linear with 8-bit weights that have a scale for each row, and the quantisation of activations for
// all integer weights.
#include <cstdint>

#include "kernels/cpu/isa/integer_sums_inl.h"
#include "kernels/cpu/isa/linear_loop_inl.h"
#include "kernels/cpu/isa/ops.h"
#include "kernels/cpu/isa/vec.h"
#if defined(DRAY_SATURATING_BYTES)
#include "kernels/cpu/isa/avx2_integers/int8_avx2_inl.h"
#else
#include "kernels/cpu/isa/int8_dot_inl.h"
#endif

namespace dray::kernels::DRAY_ISA {
namespace {

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
  for (int64_t first = 0; first < task.padded_cols; first += task.sum_cols) {
    // The sum is a whole number of at most 127 * 65536, which floats add exactly.
    Vec sum = Zero();
    for (int64_t c = first; c < first + task.sum_cols; c += kLanes) {
      const int64_t n = task.cols - c;
      const Vec v = n > 0 ? LoadUpTo(x + c, n) : Zero();
      const Vec clamped = is_given ? Max(least, Min(most, v * inverse)) : v * inverse;
      const Vec rounded = (clamped + magic) - magic;
      StoreInputs(out + c / kLineCols * line_stride + c % kLineCols * kInputBytes, rounded);
      sum = sum + rounded;
    }
    *sums = PackSum(sum);
    sums += sum_stride;
  }
}

}  // namespace

void PackActivationsInt(const PackActivationsTask& task, Range blocks) {
  const int64_t lines = task.padded_cols / (4 * kQuadsPerLine);
  const int64_t sums_per_row = task.padded_cols / task.sum_cols;
  for (int64_t b = blocks.begin; b < blocks.end; ++b) {
    const int64_t begin = task.blocks.Begin(b), rows = task.blocks.Begin(b + 1) - begin;
    for (int64_t r = 0; r < rows; ++r) {
      QuantizeRow(task, RowToPack(task, begin + r), task.scales[begin + r],
                  task.out + begin * lines * kLineBytes + r * kLineBytes, rows * kLineBytes,
                  task.input_sums + begin * sums_per_row + r, rows);
    }
    SetLoudQuadsApart(task, b);
  }
}

void LinearI8(const LinearTask& task, Range panels) {
  if (task.layout.group > 0) return LinearGroupsI8(task, panels);
  if (!task.layout.rounds_inputs) return LinearI8Float(task, panels);
  RunPanels<Int8Kernel>(task, panels);
}

}  // namespace dray::kernels::DRAY_ISA
