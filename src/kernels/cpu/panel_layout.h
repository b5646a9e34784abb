// Where a weight lies in packed form. Rows are grouped in panels of 32 output channels; a panel
// holds all of K as a sequence of steps, each of them two 64-byte vectors of 16 channels:
//
//   [panel][step][2][16 channels x 4 bytes]
//
//   f32   a step is one k
//   bf16  a step is two k; each channel's pair is adjacent, as the dot-product instruction wants it
//   f16   a step is two k; 16 channels of the first, then 16 channels of the second, each half one
//         conversion to f32
//
// Rows are padded to 32 and K to 32 with zeros. Storage ends with kReadAhead bytes that loops may
// read or prefetch.
//
// Activations of a Linear call are rewritten as blocks of MR rows, [K / line][MR][64 bytes], a line
// being 16 f32 or 32 bf16: row offsets are immediates, and no two threads write the same line.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/weight_matrix.h"

namespace dray::kernels {

inline constexpr int64_t kPanelRows = 32;
inline constexpr int64_t kLineBytes = 64;
inline constexpr int64_t kStepBytes = 2 * kLineBytes;
inline constexpr int64_t kPadK = 32;
inline constexpr int64_t kReadAhead = 16 << 10;

struct PanelLayout {
  WeightFormat format;
  int64_t rows;
  int64_t padded_cols;
  int64_t panels;
  int64_t panel_bytes;

  PanelLayout(WeightFormat weight_format, int64_t num_rows, int64_t num_cols)
      : format(weight_format),
        rows(num_rows),
        padded_cols((num_cols + kPadK - 1) / kPadK * kPadK),
        panels((num_rows + kPanelRows - 1) / kPanelRows),
        panel_bytes(padded_cols * kPanelRows * element_bytes()) {}

  int64_t element_bytes() const { return format == WeightFormat::kF32 ? 4 : 2; }
  int64_t cols_per_step() const { return format == WeightFormat::kF32 ? 1 : 2; }
  int64_t storage_bytes() const { return panels * panel_bytes + kReadAhead; }

  // Byte offset of the vector that holds (row, col), and of the element inside it.
  int64_t VectorOffset(int64_t row, int64_t col) const {
    return row / kPanelRows * panel_bytes + col / cols_per_step() * kStepBytes +
           row % kPanelRows / 16 * kLineBytes;
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
    }
    return 0;
  }
};

}  // namespace dray::kernels
