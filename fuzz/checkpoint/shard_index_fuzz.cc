// model.safetensors.index.json: any file is refused, or names only files without folders.
#include <cstdint>

#include "base/check.h"
#include "checkpoint/shard_index.h"
#include "fuzz/support/memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const dray::fuzz::MemoryFile file(data, size);
  const auto index = dray::checkpoint::ReadShardIndex(file.path());
  if (!index.ok()) return 0;
  for (const std::string& name : index->files) {
    DRAY_CHECK(!name.empty() && name != ".." && name.find('/') == std::string::npos);
  }
  return 0;
}
