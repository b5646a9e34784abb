// safetensors: any bytes are refused, or every byte of every tensor they name lies inside them.
#include <cstdint>

#include "checkpoint/safetensors.h"
#include "fuzz/touch.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto content = dray::checkpoint::ReadSafetensors(dray::fuzz::AsBytes(data, size), "fuzz");
  if (!content.ok()) return 0;
  for (const auto& tensor : content->tensors) dray::fuzz::Touch(tensor.bytes());
  return 0;
}
