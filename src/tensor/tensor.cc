#include "tensor/tensor.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/checked_math.h"

namespace dray {

std::optional<int64_t> Shape::CheckedElements() const {
  int64_t product = 1;
  for (const int64_t dim : dims()) {
    if (dim < 0) return std::nullopt;
    const auto next = CheckedMul(product, dim);
    if (!next) return std::nullopt;
    product = *next;
  }
  return product;
}

std::string Shape::ToString() const { return fmt::format("[{}]", fmt::join(dims(), ", ")); }

bool Shape::operator==(const Shape& other) const {
  return std::equal(dims().begin(), dims().end(), other.dims().begin(), other.dims().end());
}

Result<Tensor> Tensor::Make(Allocator& allocator, DType dtype, const Shape& shape) {
  const auto elements = shape.CheckedElements();
  const auto bytes =
      elements ? CheckedMul(*elements, static_cast<int64_t>(SizeOf(dtype))) : elements;
  if (!bytes) {
    return Status(StatusCode::kInvalidArgument,
                  fmt::format("a tensor of shape {} has no countable size", shape.ToString()));
  }
  Tensor tensor;
  DRAY_ASSIGN_OR_RETURN(tensor.buffer_, allocator.Allocate(static_cast<size_t>(*bytes)));
  tensor.dtype_ = dtype;
  tensor.shape_ = shape;
  return tensor;
}

}  // namespace dray
