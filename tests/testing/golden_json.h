// What the readers of golden files share.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/parse/json.h"
#include "tensor/dtype.h"

namespace dray::testing {

inline std::vector<int32_t> GoldenInts(const Json& json) {
  std::vector<int32_t> values;
  for (const Json& value : *json.AsArray()) {
    values.push_back(static_cast<int32_t>(*value.AsInt64()));
  }
  return values;
}

// The f32 numbers of the tensor that `object` names under `key`; none if it names none.
template <typename Tensors>
std::vector<float> GoldenFloats(const Json& object, std::string_view key, const Tensors& tensors) {
  const Json* name = object.Find(key);
  std::vector<float> values;
  if (name == nullptr) return values;
  for (const auto& tensor : tensors) {
    if (tensor.name != *name->AsString()) continue;
    DRAY_CHECK(tensor.dtype == DType::kF32);
    values.resize(static_cast<size_t>(tensor.shape.elements()));
    std::memcpy(values.data(), tensor.data, values.size() * sizeof(float));
  }
  DRAY_CHECK(!values.empty());
  return values;
}

}  // namespace dray::testing
