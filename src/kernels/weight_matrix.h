// A weight matrix in the form that a backend's kernels read, packed once when the model loads.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/buffer.h"
#include "tensor/dtype.h"

namespace dray::kernels {

// How each weight is stored. Sums are f32 in all of them. With kBF16 the activations are rounded to
// bf16 as well, as the dot-product instructions want it; with kF16 and kF32 they stay f32.
//
// kI8: 8-bit integers with one f32 scale for each row (output channel), or with one f16 scale for
// each group of columns of a row. kI4: 4-bit integers with one f16 scale for each group. Inputs
// says what becomes of the activations. At most 65536 columns.
enum class WeightFormat : uint8_t { kF32, kF16, kBF16, kI8, kI4 };

std::string_view Name(WeightFormat format);

// What the numbers q of a group stand for. kNone: scale * (q - 2^(bits - 1)). kPerGroup: scale * (q
// - zero), with an f16 zero point for each group, not necessarily whole.
enum class ZeroPoint : uint8_t { kNone, kPerGroup };

// What integer weights are multiplied with. kRounded: activations as integers from -127 to 127,
// each row by its largest magnitude or all rows by MatrixSpec::input_scale; a group's (or row's)
// sum is exact. kFloat: activations as beside kBF16, and sums in f32; only for kI8 without groups.
enum class Inputs : uint8_t { kRounded, kFloat };

// The largest number of columns in a group.
inline constexpr int64_t kLargestGroup = 128;

// All that a matrix's form is beside its size. A format alone is a form: the rest as in MatrixSpec.
struct WeightForm {
  WeightForm(WeightFormat of = WeightFormat::kF32, int64_t group_cols = 0,  // NOLINT: a conversion
             ZeroPoint zero_point = ZeroPoint::kNone, Inputs multiplied = Inputs::kRounded)
      : format(of), group(group_cols), zero(zero_point), inputs(multiplied) {}

  WeightFormat format;
  int64_t group;
  ZeroPoint zero;
  Inputs inputs;

  bool operator==(const WeightForm&) const = default;
};

// For people: "int8", "int8 beside bf16", "int4 in groups of 32 with zero points".
std::string Name(const WeightForm& form);

// [rows, cols] = [out_features, in_features] of a linear layer, or [entries, width]
// of an embedding.
struct MatrixSpec {
  int64_t rows = 0;
  int64_t cols = 0;
  WeightFormat format = WeightFormat::kF32;
  // Columns of a group: 32, 64 or 128. 0 is 64 for kI4 and the whole row for kI8; the formats of
  // floats have none.
  int64_t group = 0;
  ZeroPoint zero = ZeroPoint::kNone;  // with groups only
  Inputs inputs = Inputs::kRounded;   // of integers
  // Of rounded inputs: what 1 stands for in every row; larger inputs than 127 times it are clamped.
  // 0: each row's own, a 127th of its largest magnitude.
  float input_scale = 0.0f;

  static MatrixSpec Of(int64_t rows, int64_t cols, const WeightForm& form) {
    return {rows, cols, form.format, form.group, form.zero, form.inputs};
  }
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

// Rows that a checkpoint holds as integers already, one in each byte: weight (r, c) is
//   scales[r * groups + c / group] * values[r * row_stride + c] - minimums[r * groups + c / group]
// with groups = ceil(cols / group). Without minimums each is the scale times half the range: 8
// where values are 0..15, 128 where they are 0..255.
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
  // The `cols` weights of a row; each product and each sum is rounded to f32.
  void ToFloats(int64_t row, float* out) const;
};

// What unpacked rows lie in.
struct QuantizedBuffer {
  std::vector<uint8_t> values;
  std::vector<float> scales, minimums;
};

// A matrix of such rows in whatever order of bits, unpacked a few rows at a time while
// it is packed.
class QuantizedSource {
 public:
  virtual ~QuantizedSource() = default;

  // `rows`, in that order, in `buffer`, to which the result points. Several threads may call it at
  // once, each with its own buffer.
  virtual QuantizedRows Unpack(std::span<const int64_t> rows, QuantizedBuffer& buffer) const = 0;
};

// Whether a matrix of that form holds the numbers of `rows` as they are: its scales are those of
// `rows` rounded to f16 (of whole rows: as they are), and its zero points minimum / scale rounded
// to f16, which whole ones below 2049 survive.
bool Holds(const MatrixSpec& spec, const QuantizedRows& rows);

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
  const MatrixSpec& spec() const { return spec_; }
  size_t size_bytes() const { return storage_.size_bytes(); }
  std::byte* data() const { return storage_.data(); }

 private:
  MatrixSpec spec_;
  Buffer storage_;
};

}  // namespace dray::kernels
