#include "kernels/cpu/pack/source_reader.h"

#include <algorithm>

namespace dray::kernels {

SourceReader::SourceReader(const IsaKernels& isa, const SourceRows& source)
    : isa_(isa), source_(source), element_bytes_(static_cast<int64_t>(SizeOf(source.dtype))) {}

const std::byte* SourceReader::Element(int64_t row, int64_t col) const {
  return static_cast<const std::byte*>(source_.data) +
         (row * source_.row_stride + col * source_.col_stride) * element_bytes_;
}

void SourceReader::Read(Range rows, Range cols, float* out, int64_t stride) const {
  const Range stored = {cols.begin, std::min(cols.end, source_.cols)};
  if (has_dense_rows()) {
    ReadDenseRows(rows, stored, out, stride);
  } else {
    if (source_.row_stride == 1) {
      ReadByColumns(rows, stored, out, stride);
    } else {
      ReadElements(rows, stored, out, stride);
    }
    if (source_.has_factors()) Multiply(rows, stored, out, stride);
  }
  for (int64_t r = 0; r < rows.end - rows.begin; ++r) {
    std::fill(out + r * stride + stored.end - cols.begin, out + r * stride + cols.end - cols.begin,
              0.0f);
  }
}

void SourceReader::ReadDenseRows(Range rows, Range cols, float* out, int64_t stride) const {
  ReadTask task = {.dtype = source_.dtype, .count = cols.end - cols.begin};
  if (source_.column_factors != nullptr) task.column_factors = source_.column_factors + cols.begin;
  for (int64_t r = rows.begin; r < rows.end; ++r) {
    task.source = Element(r, cols.begin);
    if (source_.row_factors != nullptr) task.row_factor = source_.row_factors[r];
    task.out = out + (r - rows.begin) * stride;
    isa_.read_weights(task);
  }
}

void SourceReader::ReadElements(Range rows, Range cols, float* out, int64_t stride) const {
  for (int64_t r = rows.begin; r < rows.end; ++r) {
    float* to = out + (r - rows.begin) * stride;
    for (int64_t c = cols.begin; c < cols.end; ++c) {
      isa_.convert(source_.dtype, Element(r, c), DType::kF32, to + c - cols.begin, 1);
    }
  }
}

void SourceReader::ReadByColumns(Range rows, Range cols, float* out, int64_t stride) const {
  constexpr int64_t kMostRows = 32;
  const int64_t num_rows = rows.end - rows.begin;
  for (int64_t c = cols.begin; c < cols.end; ++c) {
    float column[kMostRows];
    isa_.convert(source_.dtype, Element(rows.begin, c), DType::kF32, column, num_rows);
    for (int64_t r = 0; r < num_rows; ++r) out[r * stride + c - cols.begin] = column[r];
  }
}

void SourceReader::Multiply(Range rows, Range cols, float* out, int64_t stride) const {
  const int64_t count = cols.end - cols.begin;
  const float* const factors =
      source_.column_factors == nullptr ? nullptr : source_.column_factors + cols.begin;
  for (int64_t r = rows.begin; r < rows.end; ++r) {
    float* const row = out + (r - rows.begin) * stride;
    const float factor = source_.row_factors == nullptr ? 1.0f : source_.row_factors[r];
    if (factors == nullptr) {
      for (int64_t c = 0; c < count; ++c) row[c] *= factor;
    } else {
      for (int64_t c = 0; c < count; ++c) row[c] = row[c] * factor * factors[c];
    }
  }
}

}  // namespace dray::kernels
