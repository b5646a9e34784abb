#include "checkpoint/torch/torch_globals.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>

#include "checkpoint/tensor_source.h"

namespace dray::checkpoint {
namespace {

using enum TorchGlobal;

constexpr std::array kNames = {
    TorchName{"collections", "OrderedDict", kOrderedDict},
    TorchName{"torch._utils", "_rebuild_tensor_v2", kRebuildTensor},
    TorchName{"torch._utils", "_rebuild_tensor_v3", kRebuildTensorWithDType},
    TorchName{"torch._utils", "_rebuild_parameter", kRebuildParameter},
    TorchName{"torch._utils", "_rebuild_parameter_with_state", kRebuildParameterWithState},
    TorchName{"torch._tensor", "_rebuild_from_type_v2", kRebuildFromType},
    TorchName{"torch", "Size", kSize},
    TorchName{"torch", "device", kDevice},
    TorchName{"torch", "Tensor", kTensorType},
    TorchName{"torch.nn.parameter", "Parameter", kTensorType},

    TorchName{"torch", "FloatStorage", kStorageType, 4, DType::kF32},
    TorchName{"torch", "HalfStorage", kStorageType, 2, DType::kF16},
    TorchName{"torch", "BFloat16Storage", kStorageType, 2, DType::kBF16},
    TorchName{"torch", "DoubleStorage", kStorageType, 8, DType::kF64},
    TorchName{"torch", "CharStorage", kStorageType, 1, DType::kI8},
    TorchName{"torch", "ByteStorage", kStorageType, 1, DType::kU8},
    TorchName{"torch", "ShortStorage", kStorageType, 2, DType::kI16},
    TorchName{"torch", "IntStorage", kStorageType, 4, DType::kI32},
    TorchName{"torch", "LongStorage", kStorageType, 8, DType::kI64},
    TorchName{"torch", "BoolStorage", kStorageType, 1, DType::kBool},
    TorchName{"torch", "ComplexFloatStorage", kStorageType, 8},
    TorchName{"torch", "ComplexDoubleStorage", kStorageType, 16},
    TorchName{"torch.storage", "UntypedStorage", kStorageType, 1},

    // Values of configuration entries beside the tensors, and arguments of _rebuild_tensor_v3.
    TorchName{"torch", "float32", kDType},
    TorchName{"torch", "float16", kDType},
    TorchName{"torch", "bfloat16", kDType},
    TorchName{"torch", "float64", kDType},
    TorchName{"torch", "int8", kDType},
    TorchName{"torch", "uint8", kDType},
    TorchName{"torch", "int16", kDType},
    TorchName{"torch", "uint16", kDType},
    TorchName{"torch", "int32", kDType},
    TorchName{"torch", "uint32", kDType},
    TorchName{"torch", "int64", kDType},
    TorchName{"torch", "uint64", kDType},
    TorchName{"torch", "bool", kDType},
    TorchName{"torch", "complex64", kDType},
    TorchName{"torch", "complex128", kDType},
    TorchName{"torch", "float8_e4m3fn", kDType},
    TorchName{"torch", "float8_e5m2", kDType},
    TorchName{"torch", "float8_e4m3fnuz", kDType},
    TorchName{"torch", "float8_e5m2fnuz", kDType},
};

// What torch itself would read, and we do not.
struct Refused {
  std::string_view module;
  std::string_view name;
  std::string_view kind;
};
constexpr std::array kRefused = {
    Refused{"torch._utils", "_rebuild_qtensor", "a quantised tensor"},
    Refused{"torch", "QInt8Storage", "a quantised tensor"},
    Refused{"torch", "QUInt8Storage", "a quantised tensor"},
    Refused{"torch", "QInt32Storage", "a quantised tensor"},
    Refused{"torch", "QUInt4x2Storage", "a quantised tensor"},
    Refused{"torch", "QUInt2x4Storage", "a quantised tensor"},
    Refused{"torch._utils", "_rebuild_sparse_tensor", "a sparse tensor"},
    Refused{"torch._utils", "_rebuild_sparse_csr_tensor", "a sparse tensor"},
    Refused{"torch._utils", "_rebuild_nested_tensor", "a nested tensor"},
    Refused{"torch._utils", "_rebuild_meta_tensor_no_storage", "a tensor without data"},
};

}  // namespace

Result<size_t> FindTorchName(std::string_view module, std::string_view name) {
  const auto matches = [&](const auto& entry) {
    return entry.module == module && entry.name == name;
  };
  const auto allowed = std::find_if(kNames.begin(), kNames.end(), matches);
  if (allowed != kNames.end()) return static_cast<size_t>(allowed - kNames.begin());
  const std::string full = fmt::format("{}.{}", module, name);
  const auto refused = std::find_if(kRefused.begin(), kRefused.end(), matches);
  if (refused != kRefused.end()) {
    return Status(
        StatusCode::kUnsupported,
        fmt::format("the name {} belongs to {}, which dray does not read", full, refused->kind));
  }
  return Status(
      StatusCode::kInvalidArgument,
      fmt::format("the name {} is none of the {} that a state dict needs; nothing was run, and the "
                  "file is refused",
                  Quoted(full), kNames.size()));
}

const TorchName& TorchNameAt(size_t place) { return kNames[place]; }

bool IsCallable(TorchGlobal global) {
  return global != kTensorType && global != kStorageType && global != kDType;
}

}  // namespace dray::checkpoint
