// safetensors: any bytes are refused, or every byte of every tensor that they name is inside them.
#include <cstdint>
#include <cstring>
#include <string_view>

#include "checkpoint/safetensors.h"
#include "fuzz/support/touch.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto content = dray::checkpoint::ReadSafetensors(dray::fuzz::AsBytes(data, size), "fuzz");
  if (!content.ok()) return 0;
  for (const auto& tensor : content->tensors) dray::fuzz::Touch(tensor.bytes());
  return 0;
}

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

// In three of four cases, corrects the header's length. With a wrong length the reader would not
// get to the header.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned int seed) {
  size = LLVMFuzzerMutate(data, size, max_size);
  if (seed % 4 == 0 || size < sizeof(uint64_t)) return size;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t brace = text.rfind('}');
  if (brace == std::string_view::npos || brace < sizeof(uint64_t)) return size;
  const uint64_t header_bytes = brace + 1 - sizeof(uint64_t);
  std::memcpy(data, &header_bytes, sizeof(header_bytes));
  return size;
}
