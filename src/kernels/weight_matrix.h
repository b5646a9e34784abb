// A weight matrix in the form that a backend's kernels read, packed once when the model loads.
#pragma once

#include <cstdint>
#include <string_view>

#include "tensor/buffer.h"
#include "tensor/dtype.h"

namespace dray::kernels {

// How each weight is stored. Sums are f32 in all of them. With kBF16 the activations are rounded to
// bf16 as well, as the dot-product instructions want it; with kF16 and kF32 they stay f32.
//
// kI8: 8-bit integers with one scale for each row (output channel). kI4: 4-bit integers with one
// f16 scale for each 64 columns of a row. Both round the activations of each row to 8-bit integers
// by the row's largest magnitude, and sum exactly in integers. At most 65536 columns.
enum class WeightFormat : uint8_t { kF32, kF16, kBF16, kI8, kI4 };

std::string_view Name(WeightFormat format);

// [rows, cols] = [out_features, in_features] of a linear layer, or [entries, width] of an
// embedding.
struct MatrixSpec {
  int64_t rows = 0;
  int64_t cols = 0;
  WeightFormat format = WeightFormat::kF32;
};

// Rows of a checkpoint's tensor in host memory: element (r, c) is at data[r * row_stride + c *
// col_stride], counted in elements of `dtype` (f32, f16, bf16 or f64). `data` may be
// unaligned, as files may be.
struct SourceRows {
  const void* data = nullptr;
  DType dtype = DType::kF32;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t row_stride = 0;
  int64_t col_stride = 1;
};

// The storage's inner order is the backend's own; the same matrix serves Linear and Embed, so that
// a tied head is stored once.
class WeightMatrix {
 public:
  WeightMatrix() = default;
  WeightMatrix(const MatrixSpec& spec, Buffer storage)
      : spec_(spec), storage_(std::move(storage)) {}

  int64_t rows() const { return spec_.rows; }
  int64_t cols() const { return spec_.cols; }
  WeightFormat format() const { return spec_.format; }
  size_t size_bytes() const { return storage_.size_bytes(); }
  std::byte* data() const { return storage_.data(); }

 private:
  MatrixSpec spec_;
  Buffer storage_;
};

}  // namespace dray::kernels
