// Tensors that a tensor-parallel program has cut into slices, one for each of its ranks, joined to
// the whole again: no byte is copied, the result says where each slice lies in the tensor.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/status.h"
#include "checkpoint/tensor_source.h"

namespace dray::checkpoint {

// Along which axis the ranks' slices lie one after the other. A vector has rows only.
enum class SliceAxis : uint8_t {
  kNone,  // every rank has the whole tensor
  kRows,
  kColumns,
};

// How a matrix is stored: [rows, columns], or [columns, rows] as x * W wants it.
enum class Storage : uint8_t { kAsIs, kTransposed };

// What a model needs of a checkpoint whose files hold slices.
struct SplitTensor {
  std::string name;
  Shape shape;  // of the whole tensor: [rows] or [rows, columns]
  SliceAxis axis = SliceAxis::kNone;
  // The rows of each slice are so many groups of equal size, one from each section of the tensor's
  // rows: 3 if a rank has its part of all queries, then of all keys, then of all values.
  int64_t sections = 1;
  Storage storage = Storage::kAsIs;
  float multiplier = 1;  // of a vector; see TensorSource
  // Of a tensor that is not cut: the rows before this one are in no file, because nothing reads them.
  int64_t first_row = 0;

  // The shape that one of `num_slices` slices has in its file. kInvalidArgument if the axis cannot
  // be divided so.
  Result<Shape> StoredShape(int64_t num_slices) const;
};

// Joins the slices, in the order of their ranks, each with the shape and strides of its file.
// kInvalidArgument, naming file and tensor, if a slice has another shape or type than the others or
// than `wanted` makes it. One slice alone stays a plain tensor.
Result<TensorSource> JoinSlices(const SplitTensor& wanted, std::span<const TensorSource> slices);

}  // namespace dray::checkpoint
