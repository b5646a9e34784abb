// Reads a state dict out of a pickle's plain data: which tensors there are, and which storages they
// view. Where the storages' bytes are is for the containers to say (torch_file.h).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "checkpoint/tensor_source.h"
#include "checkpoint/torch/pickle.h"

namespace dray::checkpoint {

// A run of elements of one type, which any number of tensors may view.
struct TorchStorage {
  std::string_view key;  // names its bytes in the container
  const TorchName* type = nullptr;
  int64_t elements = 0;

  // The constructor of the list has checked that the product fits.
  int64_t size_bytes() const { return elements * type->element_bytes; }
};

// A tensor as a view of storages[storage]: the element at [i, j, ...] is at offset + i * strides[0]
// + ... Every reachable element is within the storage.
struct TorchTensor {
  std::string name;
  size_t storage = 0;
  int64_t offset = 0;
  Shape shape;
  std::array<int64_t, Shape::kMaxRank> strides{};
};

struct TorchStateDict {
  std::vector<TorchStorage> storages;  // every key once
  std::vector<TorchTensor> tensors;    // in the order of the pickle
  std::vector<UnreadableTensor> unreadable;
};

// What torch.save was given.
enum class TorchRoot : uint8_t {
  // A flat dict of names and tensors, as model.state_dict() gives. Values that are no tensors are
  // ignored, but dicts of tensors are refused.
  kStateDict,
  // The same, with lists of a tensor and its scales in place of some tensors, as DeepSpeed saves its
  // layers: the scales get the tensor's name with kScaleSuffix. The dict may be empty.
  kScaledStateDict,
  // One tensor, which gets the name kOnlyTensor.
  kTensor,
};
inline constexpr std::string_view kScaleSuffix = ".scale";
inline constexpr std::string_view kOnlyTensor = "tensor";

// Reads what `root` says that the document is. Errors name the tensor. Keys are views of the
// document's bytes.
Result<TorchStateDict> ReadStateDict(const PickleDocument& document, TorchRoot root);

}  // namespace dray::checkpoint
