// Where a weight lies in packed form (docs/weight-packing.md explains why). The rows of the matrix,
// its output channels, are grouped in panels of 32. A panel holds all columns k of its rows as a
// sequence of steps, and each step is two 64-byte vectors of 16 channels:
//
//   [panel][step][2][16 channels x 4 bytes]
//
//   format  columns of a step  the 4 bytes of a channel
//   f32     1                  the number
//   bf16    2                  the two numbers, as the dot-product instruction reads them
//   f16     2                  (not by channel: 16 channels of the first column, then 16 of the
//                              second, so that one instruction converts each half to f32)
//   int8    4                  four numbers q, stored as q + 128
//   int4    8                  eight numbers q, stored as q + 8: the first four in the low halves
//                              of the bytes, the other four in the high halves
//
// A panel of int8 without groups begins with 32 f32 scales. In int4, and in int8 with groups, each
// group of 32, 64 or 128 columns begins with a line of 32 f16 scales instead. With zero points a
// second line has the negated zero points as f16, and q is stored unchanged.
//
// Rows are padded to 32, and columns to 32 (floats), 64 (integers) or the group if it is larger.
// Padding counts as zero. The storage ends with kReadAhead bytes that loops may read or prefetch.
//
// Linear rewrites its activations as blocks of MR rows, [columns / line][MR][64 bytes]. The offset
// of a row is a constant that an instruction can contain, and no two threads write the same line.
// A line is 16 f32, 32 bf16, 64 8-bit or 32 16-bit integers, as the instruction set reads them.
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
// With so many columns, sums of products of at most 255 * 127 stay below 2^31.
inline constexpr int64_t kMaxIntegerCols = 65536;

// Columns are padded to a multiple of this.
inline int64_t ColumnUnit(WeightFormat format, int64_t group) {
  if (!IsInteger(format)) return 32;
  return group > 64 ? group : 64;
}

struct PanelLayout {
  WeightFormat format;
  int64_t rows;
  int64_t group;         // columns that share a scale; 0: no groups
  int64_t header_bytes;  // of the scales and zero points before each group
  int64_t padded_cols;
  int64_t panels;
  int64_t panel_bytes;
  bool rounds_inputs;  // to 8-bit integers

  explicit PanelLayout(const MatrixSpec& spec)
      : format(spec.format),
        rows(spec.rows),
        group(GroupOf(spec)),
        header_bytes(group == 0 ? 0 : kLineBytes * (spec.zero == ZeroPoint::kPerGroup ? 2 : 1)),
        padded_cols(RoundUp(spec.cols, ColumnUnit(format, group))),
        panels((spec.rows + kPanelRows - 1) / kPanelRows),
        panel_bytes(PanelBytes()),
        rounds_inputs(IsInteger(spec.format) && spec.inputs == Inputs::kRounded) {}

  bool has_zeros() const { return header_bytes > kLineBytes; }
  // Bytes of the scales at the beginning of a panel.
  int64_t scale_bytes() const {
    return format == WeightFormat::kI8 && group == 0 ? kInt8ScaleBytes : 0;
  }
  // Bytes of a number, in formats without scales.
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
  int64_t storage_bytes() const { return panels * panel_bytes + kReadAhead; }

  // The byte offset of the vector that holds (row, col), and the offset of the number (of its byte,
  // if it is smaller) in the vector.
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
  // The byte offset of the scale of (row, col): f16 for a group, f32 for a row.
  int64_t ScaleOffset(int64_t row, int64_t col) const {
    const int64_t panel = row / kPanelRows * panel_bytes, in_panel = row % kPanelRows;
    return group == 0 ? panel + in_panel * 4 : panel + col / group * group_bytes() + in_panel * 2;
  }
  // The byte offset of the negated zero point of (row, col), in a matrix with zero points.
  int64_t ZeroOffset(int64_t row, int64_t col) const { return ScaleOffset(row, col) + kLineBytes; }

  // The byte offset in the panel of the step that holds `col`.
  int64_t StepOffset(int64_t col) const {
    if (group > 0) {
      return col / group * group_bytes() + header_bytes +
             col % group / cols_per_step() * kStepBytes;
    }
    return scale_bytes() + col / cols_per_step() * kStepBytes;
  }

 private:
  int64_t PanelBytes() const {
    if (group > 0) return padded_cols / group * group_bytes();
    if (format == WeightFormat::kI8) return scale_bytes() + padded_cols * kPanelRows;
    return padded_cols * kPanelRows * element_bytes();
  }
};

}  // namespace dray::kernels
