// Where a weight lies in packed form. Rows are grouped in panels of 32 output channels; a panel
// holds all of K as a sequence of steps, each of them two 64-byte vectors of 16 channels:
//
//   [panel][step][2][16 channels x 4 bytes]
//
//   f32    a step is one k
//   bf16   a step is two k; each channel's pair is adjacent, as the dot-product instruction wants
//   it f16    a step is two k; 16 channels of the first, then 16 channels of the second, each half
//   one
//          conversion to f32
//   int8   a step is four k, stored as q + 128; the panel opens with 32 f32 scales
//   int4   a step is eight k, the first four in the low nibbles and the others in the high ones,
//          stored as q + 8
//
// int4, and int8 with groups, has no scales at the panel's start. Each group of 32, 64 or 128 k
// opens with a line of 32 f16 scales; with zero points a second line holds these, negated, as f16,
// and numbers are stored as they are: the zero point takes the place of 8 or 128.
//
// Rows are padded to 32 and K to 32 (64 for integers, or the group if that is more); what pads
// counts as zero. Storage ends with kReadAhead bytes that loops may read or prefetch.
//
// Activations of a Linear call are rewritten as blocks of MR rows, [K / line][MR][64 bytes]: row
// offsets are immediates, and no two threads write the same line. A line is 16 f32, 32 bf16, 64
// 8-bit or 32 16-bit integers, as the instruction set wants it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/checked_math.h"
#include "kernels/weight_matrix.h"

namespace dray::kernels {

inline constexpr int64_t kPanelRows = 32;
inline constexpr int64_t kLineBytes = 64;
inline constexpr int64_t kStepBytes = 2 * kLineBytes;
inline constexpr int64_t kReadAhead = 16 << 10;
inline constexpr int64_t kInt8ScaleBytes = kPanelRows * 4;
inline constexpr int64_t kInt4Group = 64;  // where a MatrixSpec names none
// Integer sums of 255 * 127 a column stay below 2^31.
inline constexpr int64_t kMaxIntegerCols = 65536;

inline bool IsInteger(WeightFormat format) {
  return format == WeightFormat::kI8 || format == WeightFormat::kI4;
}

// Columns of the groups that a matrix has, or 0: no groups.
inline int64_t GroupOf(const MatrixSpec& spec) {
  return spec.format == WeightFormat::kI4 && spec.group == 0 ? kInt4Group : spec.group;
}

struct PanelLayout {
  WeightFormat format;
  int64_t rows;
  int64_t group;         // columns that share a scale; 0: no groups
  int64_t header_bytes;  // what opens each group: scales, zero points
  int64_t padded_cols;
  int64_t panels;
  int64_t panel_bytes;
  bool rounds_inputs;  // to 8-bit integers

  explicit PanelLayout(const MatrixSpec& spec)
      : format(spec.format),
        rows(spec.rows),
        group(GroupOf(spec)),
        header_bytes(group == 0 ? 0 : kLineBytes * (spec.zero == ZeroPoint::kPerGroup ? 2 : 1)),
        padded_cols(RoundUp(spec.cols, !IsInteger(format) ? int64_t{32}
                                       : group > 64       ? group
                                                          : int64_t{64})),
        panels((spec.rows + kPanelRows - 1) / kPanelRows),
        panel_bytes(PanelBytes()),
        rounds_inputs(IsInteger(spec.format) && spec.inputs == Inputs::kRounded) {}

  bool has_zeros() const { return header_bytes > kLineBytes; }
  // Of formats without scales.
  int64_t element_bytes() const { return format == WeightFormat::kF32 ? 4 : 2; }
  int64_t cols_per_step() const {
    switch (format) {
      case WeightFormat::kF32:
        return 1;
      case WeightFormat::kF16:
      case WeightFormat::kBF16:
        return 2;
      case WeightFormat::kI8:
        return 4;
      case WeightFormat::kI4:
        return 8;
    }
    return 1;
  }
  int64_t group_bytes() const { return header_bytes + group / cols_per_step() * kStepBytes; }
  // Sums of quantised activations that a Linear call needs for each row.
  int64_t sums_per_row() const { return group == 0 || padded_cols == 0 ? 1 : padded_cols / group; }
  int64_t storage_bytes() const { return panels * panel_bytes + kReadAhead; }

  // Byte offset of the vector that holds (row, col), and of the element (of its byte) inside it.
  int64_t VectorOffset(int64_t row, int64_t col) const {
    return row / kPanelRows * panel_bytes + StepOffset(col) + row % kPanelRows / 16 * kLineBytes;
  }
  int64_t LaneOffset(int64_t row, int64_t col) const {
    const int64_t lane = row % 16;
    switch (format) {
      case WeightFormat::kF32:
        return lane * 4;
      case WeightFormat::kBF16:
        return lane * 4 + col % 2 * 2;
      case WeightFormat::kF16:
        return col % 2 * 32 + lane * 2;
      case WeightFormat::kI8:
      case WeightFormat::kI4:
        return lane * 4 + col % 4;
    }
    return 0;
  }
  // Byte offset of the scale of (row, col): f16 of a group, f32 of a row.
  int64_t ScaleOffset(int64_t row, int64_t col) const {
    const int64_t panel = row / kPanelRows * panel_bytes, in_panel = row % kPanelRows;
    return group == 0 ? panel + in_panel * 4 : panel + col / group * group_bytes() + in_panel * 2;
  }
  // Byte offset of the negated zero point of (row, col), where there are any.
  int64_t ZeroOffset(int64_t row, int64_t col) const { return ScaleOffset(row, col) + kLineBytes; }

 private:
  int64_t PanelBytes() const {
    if (group > 0) return padded_cols / group * group_bytes();
    if (format == WeightFormat::kI8) return kInt8ScaleBytes + padded_cols * kPanelRows;
    return padded_cols * kPanelRows * element_bytes();
  }
  // Of the step that holds `col`, within the panel.
  int64_t StepOffset(int64_t col) const {
    if (group > 0) {
      return col / group * group_bytes() + header_bytes +
             col % group / cols_per_step() * kStepBytes;
    }
    const int64_t scales = format == WeightFormat::kI8 ? kInt8ScaleBytes : 0;
    return scales + col / cols_per_step() * kStepBytes;
  }
};

}  // namespace dray::kernels
