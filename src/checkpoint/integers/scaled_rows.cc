#include "checkpoint/integers/scaled_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace dray::checkpoint {
namespace {

// The kernels' bytes have no sign: their zero is 128.
constexpr int kZero = 128;

float ScaleAt(const TensorSource& scales, int64_t i) {
  const std::byte* at = scales.data + static_cast<size_t>(i) * SizeOf(scales.dtype);
  if (scales.dtype == DType::kF16) {
    uint16_t bits;
    std::memcpy(&bits, at, sizeof(bits));
    return F16ToF32(bits);
  }
  float scale;
  std::memcpy(&scale, at, sizeof(scale));
  return scale;
}

// The tensor as slices.
std::vector<TensorSlice> SlicesOf(const TensorSource& values) {
  if (!values.slices.empty()) return values.slices;
  return {{.rows = values.shape[0],
           .cols = values.shape[1],
           .row_stride = values.strides[0],
           .col_stride = values.strides[1],
           .data = values.data,
           .file = values.file}};
}

// Writes what the slice has of `columns` of row `row` to its place in `out`.
void CopyRow(const TensorSlice& slice, int64_t row, ColumnRange columns, uint8_t* out) {
  const int64_t begin = std::max(slice.col, columns.begin);
  const int64_t end = std::min(slice.col + slice.cols, columns.begin + columns.count);
  const std::byte* from = slice.data + (row - slice.row) * slice.row_stride;
  for (int64_t col = begin; col < end; ++col) {
    const auto value = static_cast<int8_t>(from[(col - slice.col) * slice.col_stride]);
    out[col - columns.begin] = static_cast<uint8_t>(value + kZero);
  }
}

}  // namespace

Result<ScaledRows> ScaledRows::Open(const TensorSource& values, const TensorSource& scales) {
  const bool is_readable =
      scales.IsDense() && (scales.dtype == DType::kF32 || scales.dtype == DType::kF16);
  const int64_t groups = scales.shape.rank() == 0 ? 0 : scales.shape[0];
  if (!is_readable || groups != values.shape[0]) {
    return Status(
        StatusCode::kUnsupported,
        fmt::format("{}: tensor {} has shape {} of {}, but dray reads a scale in f32 or "
                    "f16 for each of the {} rows of {}",
                    scales.file->path().string(), Quoted(scales.name), scales.shape.ToString(),
                    scales.StorageName(), values.shape[0], Quoted(values.name)));
  }
  ScaledRows matrix;
  matrix.sources_ = {&values, &scales};
  matrix.slices_ = SlicesOf(values);
  for (int64_t row = 0; row < groups; ++row) matrix.row_scales_.push_back(ScaleAt(scales, row));
  return matrix;
}

kernels::QuantizedRows ScaledRows::Unpack(std::span<const int64_t> rows, ColumnRange columns,
                                          kernels::QuantizedBuffer& buffer) const {
  buffer.values.resize(rows.size() * static_cast<size_t>(columns.count));
  buffer.scales.resize(rows.size());
  for (size_t r = 0; r < rows.size(); ++r) {
    uint8_t* out = buffer.values.data() + r * static_cast<size_t>(columns.count);
    for (const TensorSlice& slice : slices_) {
      const bool has_row = rows[r] >= slice.row && rows[r] < slice.row + slice.rows;
      if (has_row) CopyRow(slice, rows[r], columns, out);
    }
    buffer.scales[r] = row_scales_[static_cast<size_t>(rows[r])];
  }
  return {.values = buffer.values.data(),
          .rows = static_cast<int64_t>(rows.size()),
          .cols = columns.count,
          .row_stride = columns.count,
          .bits = 8,
          .group = columns.count,
          .scales = buffer.scales.data(),
          .minimums = nullptr};
}

}  // namespace dray::checkpoint
