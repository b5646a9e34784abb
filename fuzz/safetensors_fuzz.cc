// safetensors: any file is refused, or every byte of every tensor it names lies inside it.
#include <cstdint>

#include "base/check.h"
#include "base/file.h"
#include "checkpoint/safetensors.h"
#include "fuzz/memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const dray::fuzz::MemoryFile file(data, size);
  const auto mapped = dray::MappedFile::Open(file.path());
  DRAY_CHECK(mapped.ok());
  const auto content = dray::checkpoint::ReadSafetensors(mapped.value());
  if (!content.ok()) return 0;
  uint64_t sum = 0;
  for (const auto& tensor : content->tensors) {
    for (const std::byte value : tensor.bytes()) sum += static_cast<uint8_t>(value);
  }
  asm volatile("" : : "r"(sum));  // so that the reads above, which the sanitizer watches, stay
  return 0;
}
