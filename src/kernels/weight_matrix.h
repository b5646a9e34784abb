// Weight matrices: the forms in which they may be stored, and one that a backend has packed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tensor/buffer.h"
#include "tensor/dtype.h"

namespace dray::kernels {

// How each weight is stored. Products are summed in f32 in all formats. kBF16 also rounds the
// activations to bf16, because the dot-product instructions take two bf16 operands; kF16 and kF32
// leave them f32.
//
// kI8 stores 8-bit integers with one f32 scale for each row (output channel), or with one f16 scale
// for each group of columns of a row. kI4 stores 4-bit integers with one f16 scale for each group.
// `Inputs` says how their activations are rounded. They have at most 65536 columns.
enum class WeightFormat : uint8_t { kF32, kF16, kBF16, kI8, kI4 };

std::string_view Name(WeightFormat format);

inline bool IsInteger(WeightFormat format) {
  return format == WeightFormat::kI8 || format == WeightFormat::kI4;
}

// What the stored numbers q of a group stand for.
//   kNone      scale * (q - 2^(bits - 1))
//   kPerGroup  scale * (q - zero), with an f16 zero point for each group, which may be a fraction
enum class ZeroPoint : uint8_t { kNone, kPerGroup };

// What integer weights are multiplied with.
//   kRounded  activations rounded to integers from -127 to 127, whose scale is a row's largest
//             magnitude over 127 or, for all rows, MatrixSpec::input_scale; the sum over a group
//             (or row) is exact
//   kFloat    activations rounded to bf16, and sums in f32; only for kI8 without groups
enum class Inputs : uint8_t { kRounded, kFloat };

// The largest number of columns in a group.
inline constexpr int64_t kLargestGroup = 128;

// Everything about a matrix's storage but its size. A format converts to the form that has
// MatrixSpec's defaults for the rest.
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
  // The scale of rounded inputs, the same for every row; inputs beyond 127 times it are clamped.
  // 0: each row has its own scale, its largest magnitude over 127.
  float input_scale = 0.0f;

  static MatrixSpec Of(int64_t rows, int64_t cols, const WeightForm& form) {
    return {rows, cols, form.format, form.group, form.zero, form.inputs};
  }
};

// The number of columns in a group of the matrix; 0 if it has no groups.
inline int64_t GroupOf(const MatrixSpec& spec) {
  constexpr int64_t kInt4Group = 64;  // where a MatrixSpec names none
  return spec.format == WeightFormat::kI4 && spec.group == 0 ? kInt4Group : spec.group;
}

// Packed bytes in memory that the matrix does not own, such as those of a mapped file.
struct SharedBytes {
  std::span<const std::byte> bytes;
  std::shared_ptr<const void> owner;  // keeps the bytes; never null
};

// The storage of a matrix that is a part of a larger one and shares its memory: the backend divides
// a matrix into blocks, and those of the part need not be neighbours.
struct SharedBlocks {
  std::vector<const std::byte*> blocks;
  // In each block, between what belongs to all columns and the first column of the part.
  int64_t skipped_bytes = 0;
  size_t size_bytes = 0;  // of the part
  std::shared_ptr<const void> owner;
};

// A matrix in a device's memory, in an order that only its backend knows. The same matrix serves
// Linear and Embed, so that a tied head is stored once. A matrix that shares memory is only read.
class WeightMatrix {
 public:
  WeightMatrix() = default;
  WeightMatrix(const MatrixSpec& spec, Buffer storage)
      : spec_(spec), storage_(std::move(storage)) {}
  WeightMatrix(const MatrixSpec& spec, SharedBytes shared)
      : spec_(spec), shared_(shared.bytes), owner_(std::move(shared.owner)) {}
  WeightMatrix(const MatrixSpec& spec, SharedBlocks shared)
      : spec_(spec),
        shared_(shared.blocks.front(), shared.size_bytes),
        blocks_(std::move(shared.blocks)),
        skipped_bytes_(shared.skipped_bytes),
        owner_(std::move(shared.owner)) {}

  int64_t rows() const { return spec_.rows; }
  int64_t cols() const { return spec_.cols; }
  WeightFormat format() const { return spec_.format; }
  const MatrixSpec& spec() const { return spec_; }
  size_t size_bytes() const { return is_shared() ? shared_.size() : storage_.size_bytes(); }
  // The first byte of storage that the matrix owns, for the packer that fills it.
  std::byte* data() const { return storage_.data(); }
  // The first byte of storage of either kind. All of it follows, unless there are blocks().
  const std::byte* bytes() const { return is_shared() ? shared_.data() : storage_.data(); }

  bool is_shared() const { return owner_ != nullptr; }
  // Null if the matrix owns its memory.
  const std::shared_ptr<const void>& owner() const { return owner_; }
  // SharedBlocks'; empty: the blocks lie one after the other.
  std::span<const std::byte* const> blocks() const { return blocks_; }
  int64_t skipped_bytes() const { return skipped_bytes_; }

 private:
  MatrixSpec spec_;
  Buffer storage_;
  std::span<const std::byte> shared_;
  std::vector<const std::byte*> blocks_;
  int64_t skipped_bytes_ = 0;
  std::shared_ptr<const void> owner_;
};

}  // namespace dray::kernels
