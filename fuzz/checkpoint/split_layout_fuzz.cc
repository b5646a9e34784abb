// The descriptions of other programs' layouts: the first byte says which, the rest is the file. Any
// file is refused, or names only files without folders.
#include <cstdint>
#include <string>

#include "base/check.h"
#include "checkpoint/split/deepspeed.h"
#include "checkpoint/split/ini_file.h"
#include "checkpoint/split/key_files.h"
#include "fuzz/support/memory_file.h"

namespace {

void CheckPlain(const std::string& name) {
  DRAY_CHECK(!name.empty() && name != ".." && name.find('/') == std::string::npos);
}

void ReadIni(const uint8_t* data, size_t size) {
  const std::string text(data, data + size);
  const auto ini = dray::checkpoint::ParseIni(text, "fuzz");
  DRAY_CHECK(ini.ok() || !ini.status().message().empty());
}

void ReadKeyFiles(const uint8_t* data, size_t size) {
  const dray::fuzz::MemoryFile file(data, size);
  const auto entries = dray::checkpoint::ReadKeyFiles(file.path());
  if (!entries.ok()) return;
  for (const auto& [tensor, name] : *entries) CheckPlain(name);
}

void ReadDeepSpeed(const uint8_t* data, size_t size) {
  const dray::fuzz::MemoryFile file(data, size);
  const auto checkpoint = dray::checkpoint::ReadDeepSpeedConfig(file.path());
  if (!checkpoint.ok()) return;
  DRAY_CHECK(!checkpoint->files.empty());
  for (const auto& part : checkpoint->files) {
    CheckPlain(part.name);
    DRAY_CHECK(part.rank >= 0 && part.rank < checkpoint->num_slices);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  if (data[0] == 'i') ReadIni(data + 1, size - 1);
  if (data[0] == 'k') ReadKeyFiles(data + 1, size - 1);
  if (data[0] == 'd') ReadDeepSpeed(data + 1, size - 1);
  return 0;
}
