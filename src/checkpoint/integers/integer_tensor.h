// A matrix that a checkpoint holds as small integers with scales, whatever the order of its bits:
// how it is kept, and where it lies in the files.
#pragma once

#include <cstdint>
#include <span>

#include "checkpoint/tensor_source.h"
#include "kernels/packer.h"

namespace dray::checkpoint {

// Columns [begin, begin + count) of a matrix.
struct ColumnRange {
  int64_t begin = 0;
  int64_t count = 0;
};

class IntegerTensor {
 public:
  virtual ~IntegerTensor() = default;

  // The matrix form that is nearest to some of the columns: one that holds the numbers as they are,
  // if there is one. Otherwise they are rounded again. The kernels' groups begin at the first
  // column, so a range that begins inside a group of the file needs smaller groups.
  virtual kernels::MatrixSpec FormOf(ColumnRange columns) const = 0;
  // The sizes of the whole matrix.
  virtual int64_t rows() const = 0;
  virtual int64_t cols() const = 0;
  // What it is read from, the integers first.
  virtual std::span<const TensorSource* const> sources() const = 0;
  // The one of them that holds the scales.
  virtual const TensorSource& scales() const = 0;
  // The bytes that hold rows [first, first + count) and no others; none if rows share bytes.
  virtual std::span<const std::byte> BytesOfRows(int64_t first, int64_t count) const = 0;
  // Some columns of `rows`, in that order, in `buffer`, to which the result points. Several threads
  // may call it at once, each with its own buffer.
  virtual kernels::QuantizedRows Unpack(std::span<const int64_t> rows, ColumnRange columns,
                                        kernels::QuantizedBuffer& buffer) const = 0;

  ColumnRange all_columns() const { return {0, cols()}; }
  kernels::MatrixSpec form() const { return FormOf(all_columns()); }
  int64_t elements() const { return rows() * cols(); }
  uint64_t stored_bytes() const {
    uint64_t total = 0;
    for (const TensorSource* source : sources()) total += source->BytesOf(source->shape.elements());
    return total;
  }
};

// Some columns of a matrix of integers, as the kernels take it. `tensor` must outlive it.
class IntegerColumns final : public kernels::QuantizedSource {
 public:
  IntegerColumns(const IntegerTensor& tensor, ColumnRange columns)
      : tensor_(tensor), columns_(columns) {}

  kernels::QuantizedRows Unpack(std::span<const int64_t> rows,
                                kernels::QuantizedBuffer& buffer) const override {
    return tensor_.Unpack(rows, columns_, buffer);
  }

 private:
  const IntegerTensor& tensor_;
  ColumnRange columns_;
};

}  // namespace dray::checkpoint
