// Tensors in blocks (checkpoint/block_format.h) on their way into matrices: which form is nearest
// to theirs, and their integers in the form that the kernels pack.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "checkpoint/tensor_source.h"
#include "kernels/weight_matrix.h"

namespace dray::model {

// Rows first, first + step, ... of a tensor.
struct RowRange {
  int64_t first = 0;
  int64_t count = 0;
  int64_t step = 1;
};

// What unpacked rows lie in.
struct BlockMemory {
  std::vector<uint8_t> values;
  std::vector<float> scales, minimums;
};

// Whether the matrix holds the numbers of such blocks as they are, but for scales and zero points
// in f16. Otherwise they are decoded and rounded again.
bool HoldsBlocks(const kernels::MatrixSpec& spec, const checkpoint::BlockFormat& format);

// The rows as 4-bit integers; they point into `memory`. The format has at most four bits.
kernels::QuantizedRows UnpackRows(const checkpoint::TensorSource& source, const RowRange& rows,
                                  BlockMemory& memory);

// int4 for formats of up to four bits, else int8.
kernels::WeightFormat NearestFormat(const checkpoint::BlockFormat& format);

// `sizes` in the form nearest to all of `parts`, which fill one matrix:
// - int4 in groups of 32 if every part has up to four bits. Q4_0, Q4_1 and Q4_K are kept as they
// are,
//   but for scales and zero points in f16; Q2_K and Q3_K, whose groups are 16, are rounded again.
// - int8 with a scale for each row otherwise. Each weight is rounded again, by at most 1/254 of its
//   row's largest magnitude.
kernels::MatrixSpec BlockSpec(kernels::MatrixSpec sizes,
                              std::span<const checkpoint::BlockFormat* const> parts);

}  // namespace dray::model
