// torch .bin in both containers: any bytes are refused, or every element of every tensor that they
// name is inside them, also for views with strides.
#include <algorithm>
#include <cstdint>

#include "base/check.h"
#include "checkpoint/torch/torch_file.h"
#include "fuzz/support/touch.h"

namespace {

// The bytes from a tensor's first element to its last.
std::span<const std::byte> Reach(const dray::checkpoint::TensorSource& tensor) {
  int64_t last = 0;
  for (int i = 0; i < tensor.shape.rank(); ++i) {
    if (tensor.shape[i] == 0) return {};
    last += (tensor.shape[i] - 1) * tensor.strides[static_cast<size_t>(i)];
  }
  return {tensor.data, static_cast<size_t>(last + 1) * dray::SizeOf(tensor.dtype)};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = dray::fuzz::AsBytes(data, size);
  const auto content = dray::checkpoint::ReadTorchFile(bytes, "fuzz");
  if (!content.ok()) return 0;
  for (const auto& tensor : content->tensors) {
    const auto reach = Reach(tensor);
    DRAY_CHECK(reach.empty() || (reach.data() >= bytes.data() &&
                                 reach.data() + reach.size() <= bytes.data() + bytes.size()));
    dray::fuzz::Touch(reach);
  }
  return 0;
}
