#include "checkpoint/tensor_source.h"

#include "base/parse/json.h"

namespace dray::checkpoint {

std::array<int64_t, Shape::kMaxRank> DenseStrides(const Shape& shape) {
  std::array<int64_t, Shape::kMaxRank> strides{};
  // A tensor without elements may have dimensions whose product overflows beside the zero; its
  // strides are never used, so it gets ones.
  const bool empty = shape.CheckedElements().value_or(0) == 0;
  int64_t stride = 1;
  for (int i = shape.rank() - 1; i >= 0; --i) {
    strides[i] = stride;
    if (!empty) stride *= shape[i];
  }
  return strides;
}

bool TensorSource::IsDense() const {
  if (!slices.empty()) return false;
  if (shape.elements() == 0) return true;
  const auto dense = DenseStrides(shape);
  for (int i = 0; i < shape.rank(); ++i) {
    if (shape[i] != 1 && strides[i] != dense[i]) return false;
  }
  return true;
}

std::span<const std::byte> TensorSource::bytes() const {
  DRAY_CHECK(IsDense());
  return {data, BytesOf(shape.elements())};
}

size_t TensorSource::BytesOf(int64_t elements) const {
  if (blocks == nullptr) return static_cast<size_t>(elements) * SizeOf(dtype);
  return static_cast<size_t>(elements / blocks->elements * blocks->bytes);
}

std::string_view TensorSource::StorageName() const {
  return blocks == nullptr ? Name(dtype) : blocks->name;
}

std::string Quoted(std::string_view name) {
  constexpr size_t kMaxBytes = 200;
  if (name.size() <= kMaxBytes) return Json(name).Dump();
  return Json(name.substr(0, kMaxBytes)).Dump() + "...";
}

}  // namespace dray::checkpoint
