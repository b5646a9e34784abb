// What a weight file says of one tensor: its name, its format, its layout and where its bytes are
// mapped. Separate from checkpoint.h so that the readers of the two file formats need not know the
// directory logic.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/mapped_file.h"
#include "checkpoint/integers/block_format.h"
#include "tensor/tensor.h"

namespace dray::checkpoint {

// A rectangle of a tensor that is stored in several of them: rows [row, row + rows) and columns
// [col, col + cols). Element (r, c) of the rectangle is at data[r * row_stride + c * col_stride],
// counted in elements.
struct TensorSlice {
  int64_t row = 0;
  int64_t col = 0;
  int64_t rows = 0;
  int64_t cols = 1;
  int64_t row_stride = 1;
  int64_t col_stride = 1;
  const std::byte* data = nullptr;
  const MappedFile* file = nullptr;
};

// One tensor of mapped files. Every element that shape and strides reach, or its slices, lies inside
// a file as it was when it was opened. `data` need not be aligned for `dtype`: copy elements with
// memcpy.
struct TensorSource {
  std::string name;
  DType dtype = DType::kF32;  // with blocks: what they are decoded to, f32
  Shape shape;
  std::array<int64_t, Shape::kMaxRank>
      strides{};                        // in elements, never negative; [0, rank) are in use
  const std::byte* data = nullptr;      // of element [0, ..., 0]
  const MappedFile* file = nullptr;     // for WillNeed and Release
  const BlockFormat* blocks = nullptr;  // each row is stored as such blocks; null: as elements
  // Of a vector or a matrix that lies in several places: the rectangles, which tile its rows. Rows
  // that are in none of them are zero. Then `data` is null, `strides` are unused, and `file` is the
  // file of the first slice.
  std::vector<TensorSlice> slices = {};
  // The factor by which the numbers of a vector must be multiplied. Some converters divide a bias by
  // the number of ranks that add it.
  float multiplier = 1;

  // In one place, row-major without gaps. Always so in safetensors; torch files may hold views.
  bool IsDense() const;
  // The elements' bytes (or blocks) in row-major order; the tensor must be dense, which one of
  // blocks always is.
  std::span<const std::byte> bytes() const;
  // How many bytes so many elements take; of blocks, a whole number of them.
  size_t BytesOf(int64_t elements) const;
  // "f32", "Q4_K": how the numbers are stored.
  std::string_view StorageName() const;
};

// A tensor that is in the file and is described soundly, but that dray cannot represent; or one
// that a shard index promises in vain.
struct UnreadableTensor {
  std::string name;
  std::string reason;  // "its dtype is F8_E4M3, ..."
  const MappedFile* file = nullptr;
};

// What one weight file holds.
struct FileContent {
  std::vector<TensorSource> tensors;
  std::vector<UnreadableTensor> unreadable;
};

// Row-major strides of `shape`, in elements.
std::array<int64_t, Shape::kMaxRank> DenseStrides(const Shape& shape);

// `name` in double quotes for an error message: control characters escaped, long names cut.
std::string Quoted(std::string_view name);

}  // namespace dray::checkpoint
