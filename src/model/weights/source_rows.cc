#include "model/weights/source_rows.h"

#include <cstdint>
#include <cstring>

namespace dray::model {

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
