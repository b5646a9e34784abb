#include "model/weights/sliced_rows.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "model/weights/source_rows.h"

namespace dray::model {
namespace {

using checkpoint::ColumnRange;
using checkpoint::TensorSlice;
using kernels::SourceRows;

// The columns of `slice` that are among `columns`, counted from the tensor's first; their count is 0
// or less if there are none.
ColumnRange Overlap(const RowSlice& slice, ColumnRange columns) {
  const int64_t begin = std::max(slice.col, columns.begin);
  const int64_t end = std::min(slice.col + slice.rows.cols, columns.begin + columns.count);
  return {begin, end - begin};
}

bool HasRow(const RowSlice& slice, int64_t row) {
  return row >= slice.row && row < slice.row + slice.rows.rows;
}

// The run without its first `count` rows.
RowRun Without(const RowRun& run, int64_t count) {
  return {run.slot_row + count, run.source_row + count * run.source_step, run.count - count,
          run.source_step};
}

// Where a copy lies: element (r, c) at data[r * row_stride + c * col_stride], in elements.
struct CopyTarget {
  std::byte* data;
  int64_t row_stride;
  int64_t col_stride;
};

// Copies rows whose elements lie side by side in both places.
void CopyDenseRows(const SourceRows& from, const CopyTarget& to) {
  const size_t bytes = SizeOf(from.dtype);
  for (int64_t row = 0; row < from.rows; ++row) {
    std::memcpy(to.data + static_cast<size_t>(row * to.row_stride) * bytes,
                static_cast<const std::byte*>(from.data) +
                    static_cast<size_t>(row * from.row_stride) * bytes,
                static_cast<size_t>(from.cols) * bytes);
  }
}

SourceRows Transposed(SourceRows rows) {
  std::swap(rows.rows, rows.cols);
  std::swap(rows.row_stride, rows.col_stride);
  return rows;
}

void CopyElements(const SourceRows& from, const CopyTarget& to) {
  const size_t bytes = SizeOf(from.dtype);
  for (int64_t row = 0; row < from.rows; ++row) {
    for (int64_t col = 0; col < from.cols; ++col) {
      const int64_t at = row * from.row_stride + col * from.col_stride;
      std::memcpy(to.data + static_cast<size_t>(row * to.row_stride + col * to.col_stride) * bytes,
                  static_cast<const std::byte*>(from.data) + static_cast<size_t>(at) * bytes,
                  bytes);
    }
  }
}

void Copy(const SourceRows& from, const CopyTarget& to) {
  if (from.col_stride == 1 && to.col_stride == 1) {
    CopyDenseRows(from, to);
  } else if (from.row_stride == 1 && to.row_stride == 1) {
    CopyDenseRows(Transposed(from), {to.data, to.col_stride, to.row_stride});
  } else {
    CopyElements(from, to);
  }
}

// The part of the slice that `run` and `columns` name.
SourceRows PartOfSlice(const RowSlice& slice, const RowRun& run, ColumnRange columns) {
  RowRun local = run;
  local.source_row -= slice.row;
  return PartOf(slice.rows, local, {columns.begin - slice.col, columns.count});
}

}  // namespace

std::vector<RowSlice> RowSlicesOf(const checkpoint::TensorSource& source, Transform transform) {
  if (source.slices.empty()) return {{0, 0, AsRows(source, transform), source.file}};
  std::vector<RowSlice> slices;
  for (const TensorSlice& slice : source.slices) {
    RowSlice rows = {.row = slice.row,
                     .col = slice.col,
                     .rows = {.data = slice.data,
                              .dtype = source.dtype,
                              .rows = slice.rows,
                              .cols = slice.cols,
                              .row_stride = slice.row_stride,
                              .col_stride = slice.col_stride},
                     .file = slice.file};
    if (transform == Transform::kTranspose) {
      std::swap(rows.row, rows.col);
      rows.rows = Transposed(rows.rows);
    }
    slices.push_back(rows);
  }
  return slices;
}

RowRun TakeFirstInSlices(RowRun& run, const std::vector<RowSlice>& slices) {
  const auto is_stored = [&](int64_t row) {
    return std::any_of(slices.begin(), slices.end(),
                       [&](const RowSlice& slice) { return HasRow(slice, row); });
  };
  while (run.count > 0 && !is_stored(run.source_row)) run = Without(run, 1);
  RowRun first = run;
  for (const RowSlice& slice : slices) {
    if (!HasRow(slice, run.source_row)) continue;
    const int64_t left = slice.row + slice.rows.rows - run.source_row;
    first.count = std::min(first.count, (left + run.source_step - 1) / run.source_step);
  }
  run = Without(run, first.count);
  return first;
}

SourceRows GatherRows(const std::vector<RowSlice>& slices, const RowRun& run, ColumnRange columns,
                      std::vector<std::byte>& buffer) {
  SourceRows copy;
  for (const RowSlice& slice : slices) {
    if (!HasRow(slice, run.source_row)) continue;
    const ColumnRange overlap = Overlap(slice, columns);
    if (overlap.count <= 0) continue;
    const SourceRows part = PartOfSlice(slice, run, overlap);
    if (overlap.count == columns.count) return part;
    if (copy.data == nullptr) {
      buffer.resize(static_cast<size_t>(run.count * columns.count) * SizeOf(part.dtype));
      // In the order of the slices, so that whole lines are copied.
      const bool by_columns = part.row_stride == 1 && part.col_stride != 1;
      copy = {.data = buffer.data(),
              .dtype = part.dtype,
              .rows = run.count,
              .cols = columns.count,
              .row_stride = by_columns ? 1 : columns.count,
              .col_stride = by_columns ? run.count : 1};
    }
    const int64_t first = (overlap.begin - columns.begin) * copy.col_stride;
    Copy(part, {buffer.data() + static_cast<size_t>(first) * SizeOf(part.dtype), copy.row_stride,
                copy.col_stride});
  }
  return copy;
}

std::vector<float> GatherVector(const checkpoint::TensorSource& source) {
  const int64_t elements = source.shape.elements();
  std::vector<float> vector(static_cast<size_t>(elements));
  if (source.blocks != nullptr) {
    checkpoint::DecodeBlocks(*source.blocks, source.data, elements, vector.data());
    return vector;
  }
  const int64_t cols = elements / source.shape[0];
  for (const RowSlice& slice : RowSlicesOf(source, Transform::kNone)) {
    const SourceRows& rows = slice.rows;
    const auto* data = static_cast<const std::byte*>(rows.data);
    for (int64_t i = 0; i < rows.rows * rows.cols; ++i) {
      const int64_t row = i / rows.cols, col = i % rows.cols;
      const int64_t at = row * rows.row_stride + col * rows.col_stride;
      vector[static_cast<size_t>((slice.row + row) * cols + slice.col + col)] =
          ReadElement(rows.dtype, data + static_cast<size_t>(at) * SizeOf(rows.dtype)) *
          source.multiplier;
    }
  }
  return vector;
}

}  // namespace dray::model
