#include "model/weights/source_rows.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace dray::model {
namespace {

// Large enough that the threads are busy, small against any model.
constexpr int64_t kPieceBytes = int64_t{16} << 20;

}  // namespace

kernels::SourceRows AsRows(const checkpoint::TensorSource& source, Transform transform) {
  kernels::SourceRows rows;
  rows.data = source.data;
  rows.dtype = source.dtype;
  const bool is_vector = source.shape.rank() == 1;
  const int row_axis = transform == Transform::kTranspose ? 1 : 0;
  rows.rows = source.shape[row_axis];
  rows.row_stride = source.strides[row_axis];
  rows.cols = is_vector ? 1 : source.shape[1 - row_axis];
  rows.col_stride = is_vector ? 1 : source.strides[1 - row_axis];
  return rows;
}

kernels::SourceRows PartOf(const kernels::SourceRows& all, const RowRun& run,
                           checkpoint::ColumnRange columns) {
  kernels::SourceRows part = all;
  const int64_t first = run.source_row * all.row_stride + columns.begin * all.col_stride;
  part.data =
      static_cast<const std::byte*>(all.data) + static_cast<size_t>(first) * SizeOf(all.dtype);
  part.rows = run.count;
  part.cols = columns.count;
  part.row_stride *= run.source_step;
  return part;
}

int64_t PieceRows(int64_t row_bytes) {
  return std::max<int64_t>(32, kPieceBytes / row_bytes / 32 * 32);
}

std::span<const std::byte> SpannedBytes(const kernels::SourceRows& rows) {
  const int64_t last = (rows.rows - 1) * rows.row_stride + (rows.cols - 1) * rows.col_stride;
  return {static_cast<const std::byte*>(rows.data),
          static_cast<size_t>(last + 1) * SizeOf(rows.dtype)};
}

float ReadElement(DType dtype, const std::byte* at) {
  const auto read = [at](auto value) {
    std::memcpy(&value, at, sizeof(value));
    return value;
  };
  switch (dtype) {
    case DType::kF16:
      return F16ToF32(read(uint16_t{}));
    case DType::kBF16:
      return BF16ToF32(read(uint16_t{}));
    case DType::kF64:
      return static_cast<float>(read(double{}));
    default:
      return read(float{});
  }
}

}  // namespace dray::model
