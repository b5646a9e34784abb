// ZIP archives: any bytes are refused, or consist of entries that do not overlap. The input is
// tried as an archive, and as a list of changes (offset, offset, byte) to a correct archive; these
// get past the signatures.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>

#include "base/check.h"
#include "checkpoint/testing/malformed_builders.h"
#include "checkpoint/torch/torch_file.h"
#include "checkpoint/torch/zip_reader.h"
#include "fuzz/support/touch.h"

namespace {

void Read(std::span<const std::byte> bytes) {
  const auto archive = dray::checkpoint::ZipArchive::Read(bytes, "fuzz");
  if (!archive.ok()) return;
  const std::byte* at = bytes.data();
  for (const auto& entry : archive->entries()) {
    DRAY_CHECK(entry.data.data() >= at);
    dray::fuzz::Touch(entry.data);
    at = entry.data.data() + entry.data.size();
    DRAY_CHECK(archive->Find(entry.name) == &entry);
  }
  DRAY_CHECK(at <= bytes.data() + bytes.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Read(dray::fuzz::AsBytes(data, size));
  static const std::string kSound = dray::checkpoint::SoundTorchZip().Bytes();
  const auto changed = std::make_unique<uint8_t[]>(kSound.size());
  std::copy(kSound.begin(), kSound.end(), changed.get());
  for (size_t i = 0; i + 2 < size; i += 3) {
    changed[(data[i] | size_t{data[i + 1]} << 8) % kSound.size()] = data[i + 2];
  }
  const auto bytes = dray::fuzz::AsBytes(changed.get(), kSound.size());
  Read(bytes);
  const auto content = dray::checkpoint::ReadTorchFile(bytes, "fuzz");
  if (!content.ok()) return 0;
  for (const auto& tensor : content->tensors) {
    if (tensor.IsDense()) dray::fuzz::Touch(tensor.bytes());
  }
  return 0;
}
