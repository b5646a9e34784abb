// Tensors that lie in several slices (TensorSource::slices), as the rows of the slots that they
// fill. A tensor in one place is one slice here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/mapped_file.h"
#include "checkpoint/integers/integer_tensor.h"
#include "checkpoint/tensor_source.h"
#include "kernels/packer.h"
#include "model/families/family_spec.h"
#include "model/weights/row_runs.h"

namespace dray::model {

// A rectangle of the slot's rows: `rows` begins at row `row` and column `col` of the tensor, after
// the transform.
struct RowSlice {
  int64_t row = 0;
  int64_t col = 0;
  kernels::SourceRows rows;
  const MappedFile* file = nullptr;
};

// The slices of a tensor of floats.
std::vector<RowSlice> RowSlicesOf(const checkpoint::TensorSource& source, Transform transform);

// Takes the longest beginning off `run` that lies in the same slices from its first row to its last,
// and returns it. Rows that are in no slice are taken off before; `run` has no row left, and the result has
// none, if there is nothing else.
RowRun TakeFirstInSlices(RowRun& run, const std::vector<RowSlice>& slices);

// Some columns of the rows of `run`, which lie in the same slices: a view if one slice has them all,
// otherwise a copy in `buffer`.
kernels::SourceRows GatherRows(const std::vector<RowSlice>& slices, const RowRun& run,
                               checkpoint::ColumnRange columns, std::vector<std::byte>& buffer);

// All elements of a vector, or of a matrix row behind row, times its multiplier.
std::vector<float> GatherVector(const checkpoint::TensorSource& source);

}  // namespace dray::model
