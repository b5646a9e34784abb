// A matrix of signed bytes with a scale for each row, as DeepSpeed quantizes layers: weight (r, c) is
// scales[r] * values[r, c].
#pragma once

#include "base/status.h"
#include "checkpoint/integers/integer_tensor.h"

namespace dray::checkpoint {

// The kernels' int8 rows hold it bit for bit.
class ScaledRows final : public IntegerTensor {
 public:
  // `values`: [rows, cols] of i8, perhaps in slices. `scales`: f32 or f16, whose first numbers are those of
  // the rows; what follows them are DeepSpeed's scales of the matrix's halves. kUnsupported, naming
  // file and tensor, if there are not as many groups as rows.
  static Result<ScaledRows> Open(const TensorSource& values, const TensorSource& scales);

  kernels::MatrixSpec FormOf(ColumnRange columns) const override {
    return {rows(), columns.count, kernels::WeightFormat::kI8};
  }
  int64_t rows() const override { return values().shape[0]; }
  int64_t cols() const override { return values().shape[1]; }
  std::span<const TensorSource* const> sources() const override { return sources_; }
  const TensorSource& scales() const override { return *sources_[1]; }
  // None: the rows may lie in slices.
  std::span<const std::byte> BytesOfRows(int64_t, int64_t) const override { return {}; }
  kernels::QuantizedRows Unpack(std::span<const int64_t> rows, ColumnRange columns,
                                kernels::QuantizedBuffer& buffer) const override;

 private:
  ScaledRows() = default;
  const TensorSource& values() const { return *sources_[0]; }

  std::array<const TensorSource*, 2> sources_{};
  std::vector<TensorSlice> slices_;  // one or more, which tile the matrix
  std::vector<float> row_scales_;
};

}  // namespace dray::checkpoint
