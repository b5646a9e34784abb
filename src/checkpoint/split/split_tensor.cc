#include "checkpoint/split/split_tensor.h"

#include <fmt/format.h>

#include <utility>

namespace dray::checkpoint {
namespace {

Status About(const TensorSource& slice, std::string_view what) {
  return {StatusCode::kInvalidArgument,
          fmt::format("{}: tensor {} {}", slice.file->path().string(), Quoted(slice.name), what)};
}

// The slice as rows and columns of the whole tensor. A vector has one column.
TensorSlice AsRectangle(const TensorSource& source, Storage storage) {
  TensorSlice slice;
  slice.data = source.data;
  slice.file = source.file;
  const int row_axis = storage == Storage::kTransposed && source.shape.rank() == 2 ? 1 : 0;
  slice.rows = source.shape[row_axis];
  slice.row_stride = source.strides[row_axis];
  if (source.shape.rank() == 2) {
    slice.cols = source.shape[1 - row_axis];
    slice.col_stride = source.strides[1 - row_axis];
  }
  return slice;
}

// The part of `slice` that lies in one section of the tensor's rows.
TensorSlice SectionOf(const TensorSlice& slice, int64_t section, int64_t sections,
                      size_t element_bytes) {
  TensorSlice part = slice;
  part.rows = slice.rows / sections;
  part.data += static_cast<size_t>(section * part.rows * slice.row_stride) * element_bytes;
  return part;
}

TensorSource PlainTensor(const SplitTensor& wanted, const TensorSource& only) {
  TensorSource whole = only;
  const TensorSlice slice = AsRectangle(only, wanted.storage);
  whole.name = wanted.name;
  whole.shape = wanted.shape;
  whole.strides = {};
  whole.strides[0] = slice.row_stride;
  if (wanted.shape.rank() == 2) whole.strides[1] = slice.col_stride;
  return whole;
}

}  // namespace

Result<Shape> SplitTensor::StoredShape(int64_t num_slices) const {
  int64_t rows = shape[0] - first_row;
  int64_t cols = shape.rank() == 2 ? shape[1] : 1;
  int64_t& cut = axis == SliceAxis::kColumns ? cols : rows;
  const int64_t pieces = num_slices * (axis == SliceAxis::kRows ? sections : 1);
  if (axis != SliceAxis::kNone) {
    if (cut % pieces != 0) {
      return Status(StatusCode::kInvalidArgument,
                    fmt::format("tensor {}: an axis of {} cannot be cut into {} equal parts",
                                Quoted(name), cut, pieces));
    }
    cut /= num_slices;
  }
  if (shape.rank() == 1) return Shape{rows};
  return storage == Storage::kTransposed ? Shape{cols, rows} : Shape{rows, cols};
}

Result<TensorSource> JoinSlices(const SplitTensor& wanted, std::span<const TensorSource> slices) {
  const TensorSource& first = slices.front();
  const bool is_cut = wanted.axis != SliceAxis::kNone;
  const auto num_slices = static_cast<int64_t>(is_cut ? slices.size() : 1);
  auto stored = wanted.StoredShape(num_slices);
  if (!stored.ok()) return stored.status().WithPrefix(first.file->path().string());
  for (const TensorSource& slice : slices) {
    if (!(slice.shape == *stored)) {
      return About(slice, fmt::format("has shape {}, but as one of {} slices of {} it must have {}",
                                      slice.shape.ToString(), num_slices, wanted.shape.ToString(),
                                      stored->ToString()));
    }
    if (slice.dtype != first.dtype) {
      return About(slice, fmt::format("is stored as {}, but its first slice as {}",
                                      slice.StorageName(), first.StorageName()));
    }
  }
  TensorSource whole = PlainTensor(wanted, first);
  whole.multiplier = wanted.multiplier;
  if (num_slices == 1 && wanted.first_row == 0) return whole;
  whole.data = nullptr;
  whole.strides = {};
  if (num_slices == 1) {
    whole.slices.push_back(AsRectangle(first, wanted.storage));
    whole.slices.back().row = wanted.first_row;
    return whole;
  }
  const int64_t sections = wanted.axis == SliceAxis::kRows ? wanted.sections : 1;
  for (int64_t section = 0; section < sections; ++section) {
    int64_t at = section * (wanted.shape[0] / sections);
    for (const TensorSource& source : slices) {
      TensorSlice part =
          SectionOf(AsRectangle(source, wanted.storage), section, sections, SizeOf(source.dtype));
      if (wanted.axis == SliceAxis::kRows) part.row = std::exchange(at, at + part.rows);
      if (wanted.axis == SliceAxis::kColumns) part.col = std::exchange(at, at + part.cols);
      whole.slices.push_back(part);
    }
  }
  return whole;
}

}  // namespace dray::checkpoint
