// A matrix whose rows are cut into blocks (block_format.h), as the kernels' integers.
#pragma once

#include "checkpoint/integers/integer_tensor.h"

namespace dray::checkpoint {

// Its form:
// - int4 in groups of 32 for formats of up to four bits, if the columns begin at a group. Q4_0, Q4_1 and Q4_K are held but for
//   scales and zero points in f16; Q2_K and Q3_K, whose groups are 16, are rounded again.
// - int8 with a scale for each row for the others. Each weight is rounded again, by at most
//   1/254 of its row's largest magnitude.
class BlockTensor final : public IntegerTensor {
 public:
  // `source` has two dimensions and blocks.
  explicit BlockTensor(const TensorSource& source);

  kernels::MatrixSpec FormOf(ColumnRange columns) const override;
  int64_t rows() const override { return source_->shape[0]; }
  int64_t cols() const override { return source_->shape[1]; }
  std::span<const TensorSource* const> sources() const override { return {&source_, 1}; }
  const TensorSource& scales() const override { return *source_; }
  std::span<const std::byte> BytesOfRows(int64_t first, int64_t count) const override;
  // A block that only partly lies in the columns is read whole.
  kernels::QuantizedRows Unpack(std::span<const int64_t> rows, ColumnRange columns,
                                kernels::QuantizedBuffer& buffer) const override;

 private:
  const TensorSource* source_;
};

}  // namespace dray::checkpoint
