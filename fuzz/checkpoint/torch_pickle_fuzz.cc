// Pickles of state dicts without a container: any bytes are refused, or give tensors whose elements
// are all inside the storage that they view.
#include <cstdint>
#include <string>

#include "base/check.h"
#include "checkpoint/torch/pickle.h"
#include "checkpoint/torch/torch_state_dict.h"
#include "fuzz/support/touch.h"

namespace {

using dray::checkpoint::PickleDocument;
using dray::checkpoint::TorchRoot;

void CheckTensors(const PickleDocument& document, TorchRoot root) {
  const auto state_dict = dray::checkpoint::ReadStateDict(document, root);
  if (!state_dict.ok()) return;
  for (const auto& storage : state_dict->storages) DRAY_CHECK(storage.size_bytes() >= 0);
  for (const auto& tensor : state_dict->tensors) {
    const auto& storage = state_dict->storages.at(tensor.storage);
    DRAY_CHECK(storage.type->dtype.has_value());
    __int128 last = tensor.offset;
    for (int i = 0; i < tensor.shape.rank(); ++i) {
      DRAY_CHECK(tensor.shape[i] >= 0 && tensor.strides[static_cast<size_t>(i)] >= 0);
      last += static_cast<__int128>(tensor.shape[i] - 1) * tensor.strides[static_cast<size_t>(i)];
    }
    DRAY_CHECK(tensor.shape.elements() == 0 ? tensor.offset <= storage.elements
                                            : last < storage.elements);
    DRAY_CHECK(tensor.shape.elements() <= storage.elements);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  dray::ByteReader reader(dray::fuzz::AsBytes(data, size), "fuzz");
  const auto document = dray::checkpoint::ReadPickle(reader);
  if (!document.ok()) {
    DRAY_CHECK(!document.status().message().empty());
    return 0;
  }
  for (const auto root : {TorchRoot::kStateDict, TorchRoot::kScaledStateDict, TorchRoot::kTensor}) {
    CheckTensors(*document, root);
  }
  return 0;
}
