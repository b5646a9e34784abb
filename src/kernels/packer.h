// Weights on their way from a checkpoint to a device: the sources that hold their numbers, and the
// interface that converts sources into a backend's matrices.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "kernels/weight_matrix.h"
#include "tensor/dtype.h"

namespace dray::kernels {

// Rows of a checkpoint's tensor in host memory: element (r, c) is at data[r * row_stride + c *
// col_stride], counted in elements of `dtype` (f32, f16, bf16 or f64). `data` may be unaligned, as
// files may be. The weight is the element times row_factors[r] times column_factors[c], each product
// rounded to f32.
struct SourceRows {
  const void* data = nullptr;
  DType dtype = DType::kF32;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t row_stride = 0;
  int64_t col_stride = 1;
  const float* row_factors = nullptr;     // [rows]; null: ones
  const float* column_factors = nullptr;  // [cols]; null: ones

  bool has_factors() const { return row_factors != nullptr || column_factors != nullptr; }
};

// Sums of the squares of weights, each kind or none. The caller sets them to zero before the first call.
struct SquareSums {
  std::span<double> columns;  // [cols]: of each column
  std::span<double> rows;     // [rows]: of each row, whose weights are multiplied before by
  std::span<const float> column_sizes;  // [cols]
  // Whether each weight of a column is first divided by the root of its row's sum (multiplied by the reciprocal, as f32).
  // The source has whole rows without factors then, and `rows` is given. Weights of rows of zeros stay out.
  bool columns_over_rows = false;
};

// Rows that a checkpoint holds as integers already, one in each byte: weight (r, c) is
//   scales[r * groups + c / group] * values[r * row_stride + c] - minimums[r * groups + c / group]
// with groups = ceil(cols / group). Without minimums each minimum is the scale times half the range
// of the values: 8 where they are 0..15, 128 where they are 0..255.
struct QuantizedRows {
  const uint8_t* values = nullptr;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t row_stride = 0;
  int bits = 4;       // 4 or 8: values are below 2^bits
  int64_t group = 0;  // columns that share a scale, 1 or more
  const float* scales = nullptr;
  const float* minimums = nullptr;  // null: symmetric

  int64_t groups() const { return (cols + group - 1) / group; }
  // Writes the `cols` weights of a row to `out`; each product and each sum is rounded to f32.
  void ToFloats(int64_t row, float* out) const;
};

// The memory that unpacked rows lie in.
struct QuantizedBuffer {
  std::vector<uint8_t> values;
  std::vector<float> scales, minimums;
};

// A matrix of quantized rows whose bits may lie in any order; they are unpacked a few rows at a
// time while the matrix is packed.
class QuantizedSource {
 public:
  virtual ~QuantizedSource() = default;

  // Unpacks `rows`, in that order, into `buffer`, to which the result points. Several threads may
  // call this at once, each with its own buffer.
  virtual QuantizedRows Unpack(std::span<const int64_t> rows, QuantizedBuffer& buffer) const = 0;
};

// Whether a matrix of this form can keep the integers of `rows` as they are. It then keeps their
// scales too, those of groups rounded to f16, and as zero points minimum / scale rounded to f16,
// which is exact for whole numbers below 2049.
bool KeepsIntegers(const MatrixSpec& spec, const QuantizedRows& rows);

// Rows [row, row + count) of a part, which are rows [whole_row, whole_row + count) of the whole.
struct PartRows {
  int64_t row = 0;
  int64_t whole_row = 0;
  int64_t count = 0;
};

// Some rows and columns of a matrix.
struct MatrixPart {
  int64_t rows = 0;              // those that no piece has are zero
  std::vector<PartRows> pieces;  // in ascending order of both kinds of rows
  int64_t first_col = 0;
  int64_t cols = 0;  // at least 1
};

// The form of such a part. It is that of the whole, with two exceptions. If the columns begin inside
// a group of integers, the groups of the part are as much smaller as is needed, 32 columns at least.
// If not even those would do, the part has int8 rows, for which its integers are rounded again.
MatrixSpec PartSpec(const MatrixSpec& whole, const MatrixPart& part);

// Packs weights into the form that a backend's operations read. A source has been read when the
// call returns.
//
// Threads: one caller at a time, who calls no operation meanwhile.
class Packer {
 public:
  virtual ~Packer() = default;

  // The best storage format of this backend for weights that a checkpoint holds as `dtype`.
  virtual WeightFormat NativeFormat(DType dtype) const = 0;
  // A matrix of zeros. kInvalidArgument if the sizes are impossible, kUnsupported if this backend
  // has no such form, kResourceExhausted if the memory is not there.
  virtual Result<WeightMatrix> AllocateMatrix(const MatrixSpec& spec) = 0;
  // Converts host rows into rows [first_row, first_row + source.rows) of `matrix`. Integers hold
  // finite weights only: kCorrupt if one is NaN or infinite, kUnsupported if one is too large for the
  // scale of its group. Matrices of floats take all numbers.
  virtual Status PackRows(WeightMatrix& matrix, int64_t first_row, const SourceRows& source) = 0;
  // Does the same for `rows` of a source of integers. A matrix that KeepsIntegers takes them
  // without rounding; any other is packed from the floats that they stand for. Fails as PackRows
  // does, also for scales.
  virtual Status PackQuantizedRows(WeightMatrix& matrix, int64_t first_row,
                                   const QuantizedSource& source,
                                   std::span<const int64_t> rows) = 0;
  // Adds the squares of the source's weights to `sums`. The order of the additions depends on the
  // source's sizes alone, not on the number of threads.
  virtual void AddSquares(const SourceRows& source, const SquareSums& sums) = 0;

  // A name for the order of bytes in which this backend stores matrices. Bytes that were packed
  // under one name are a matrix wherever that name is the same.
  virtual std::string_view layout() const = 0;
  // The bytes of a matrix of this form. Errors as of AllocateMatrix.
  virtual Result<int64_t> PackedBytes(const MatrixSpec& spec) const = 0;
  // A matrix of bytes in host memory that were packed in this layout. If the device reads the host's
  // memory, they stay where they are. kCorrupt, with both sizes, if they are not PackedBytes; other
  // errors as of AllocateMatrix.
  virtual Result<WeightMatrix> Adopt(const MatrixSpec& spec, SharedBytes packed) = 0;
  // A part of a matrix as a matrix of its own, in the form that PartSpec says. It shares the memory
  // of a whole that shares memory itself, if its rows and columns begin where blocks of the layout
  // do; else its numbers are copied. Errors as of AllocateMatrix and PackQuantizedRows.
  virtual Result<WeightMatrix> TakePart(const WeightMatrix& whole, const MatrixPart& part) = 0;
};

}  // namespace dray::kernels
