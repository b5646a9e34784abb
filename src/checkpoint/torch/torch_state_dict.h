// Reads a state dict out of a pickle's plain data: which tensors there are, and which storages they
// view. Where the storages' bytes are is for the containers to say (torch_file.h).
#pragma once

#include <cstdint>
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
  std::string_view name;
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

// `document` must be a flat dict of names and tensors, as model.state_dict() gives; values that are
// no tensors are ignored, but dicts of tensors are refused. Errors name the tensor. Texts are views
// of the document's bytes.
Result<TorchStateDict> ReadStateDict(const PickleDocument& document);

}  // namespace dray::checkpoint
