// Shapes, and an owner of n-dimensional data. No arithmetic here: that is kernels/.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>

#include "base/check.h"
#include "tensor/buffer.h"
#include "tensor/dtype.h"

namespace dray {

// Up to eight dimensions, outermost first. A scalar has none.
class Shape {
 public:
  static constexpr int kMaxRank = 8;

  Shape() = default;
  Shape(std::initializer_list<int64_t> dims) : Shape(std::span(dims.begin(), dims.size())) {}
  explicit Shape(std::span<const int64_t> dims) : rank_(static_cast<int>(dims.size())) {
    DRAY_CHECK(dims.size() <= kMaxRank);
    for (int i = 0; i < rank_; ++i) dims_[i] = dims[i];
  }

  int rank() const { return rank_; }
  int64_t operator[](int i) const { return dims_[i]; }
  std::span<const int64_t> dims() const { return {dims_.data(), static_cast<size_t>(rank_)}; }
  // Returns the number of elements, or nothing if a dimension is negative or the product exceeds
  // int64.
  std::optional<int64_t> CheckedElements() const;
  // Returns the number of elements of a shape for which CheckedElements has a value.
  int64_t elements() const { return CheckedElements().value(); }
  // "[2, 3]"
  std::string ToString() const;
  bool operator==(const Shape& other) const;

 private:
  std::array<int64_t, kMaxRank> dims_{};
  int rank_ = 0;
};

// Dense, row-major data in a buffer of its own. Its address is one of the device's memory.
class Tensor {
 public:
  Tensor() = default;
  // Makes a tensor of zeros. kInvalidArgument if the shape has no countable size,
  // kResourceExhausted if there is not enough memory.
  static Result<Tensor> Make(Allocator& allocator, DType dtype, const Shape& shape);

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  size_t size_bytes() const { return buffer_.size_bytes(); }
  template <typename T>
  T* as() const {
    return reinterpret_cast<T*>(buffer_.data());
  }

 private:
  Buffer buffer_;
  DType dtype_ = DType::kF32;
  Shape shape_;
};

}  // namespace dray
