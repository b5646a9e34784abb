// The names that a pickled state dict may mention. They are looked up in one table and stay numbers
// from then on: nothing is imported, and nothing is called by name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/status.h"
#include "tensor/dtype.h"

namespace dray::checkpoint {

enum class TorchGlobal : uint8_t {
  kOrderedDict,
  kRebuildTensor,              // torch._utils._rebuild_tensor_v2
  kRebuildTensorWithDType,     // torch._utils._rebuild_tensor_v3
  kRebuildParameter,           // torch._utils._rebuild_parameter
  kRebuildParameterWithState,  // torch._utils._rebuild_parameter_with_state
  kRebuildFromType,  // torch._tensor._rebuild_from_type_v2: a tensor with Python attributes
  kSize,
  kDevice,
  kTensorType,  // torch.Tensor and torch.nn.parameter.Parameter, as arguments of kRebuildFromType
  kStorageType,
  kDType,
};

// One allowed name.
struct TorchName {
  std::string_view module;
  std::string_view name;
  TorchGlobal global;
  // For storage types: the bytes of one element, and its DType if dray has one.
  int element_bytes = 0;
  std::optional<DType> dtype = std::nullopt;
};

// The place of a name in the table. kUnsupported for names that torch writes but dray does not read
// (quantised, sparse and nested tensors), kInvalidArgument for all others.
Result<size_t> FindTorchName(std::string_view module, std::string_view name);

// The table's entry at a place that FindTorchName gave.
const TorchName& TorchNameAt(size_t place);

// Whether REDUCE may name it as its function.
bool IsCallable(TorchGlobal global);

}  // namespace dray::checkpoint
