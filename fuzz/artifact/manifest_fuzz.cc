// The manifest of an artifact: any text is refused, or what it says is consistent and can be written again.
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>

#include "artifact/checksum.h"
#include "artifact/manifest.h"
#include "base/check.h"

namespace {

using dray::artifact::Manifest;

// What whoever maps the data file relies on.
void CheckConsistent(const Manifest& manifest) {
  int64_t end = 0;
  for (const auto& tensor : manifest.tensors) {
    DRAY_CHECK(tensor.offset >= end && tensor.size_bytes > 0);
    DRAY_CHECK(tensor.size_bytes <= manifest.data.size_bytes - tensor.offset);
    end = tensor.offset + tensor.size_bytes;
  }
  for (const auto& file : manifest.files) {
    const std::filesystem::path name = file.name;
    DRAY_CHECK(name.is_relative() && name.has_filename() && name.lexically_normal() == name);
    DRAY_CHECK(*name.begin() != ".." && *name.begin() != ".");
  }
  const auto chunks = static_cast<int64_t>(manifest.data.checksums.size());
  DRAY_CHECK((chunks - 1) * manifest.data.chunk_bytes < manifest.data.size_bytes);
  DRAY_CHECK(chunks * manifest.data.chunk_bytes >= manifest.data.size_bytes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto manifest = dray::artifact::ParseManifest(text, "fuzz");
  if (!manifest.ok()) return 0;
  CheckConsistent(*manifest);
  const std::string again = dray::artifact::FormatManifest(*manifest);
  const auto same = dray::artifact::ParseManifest(again, "fuzz");
  DRAY_CHECK(same.ok() && dray::artifact::FormatManifest(*same) == again);
  return 0;
}

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

// In three of four cases, corrects the checksum. With a wrong one the parser would not read the rest.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned int seed) {
  size = LLVMFuzzerMutate(data, size, max_size);
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t tail = text.rfind(",\n \"checksum\"");
  if (seed % 4 == 0 || tail == std::string_view::npos) return size;
  const std::string sealed =
      ",\n \"checksum\": \"" +
      dray::artifact::ChecksumText(dray::artifact::Checksum(text.substr(0, tail))) + "\"\n}\n";
  if (tail + sealed.size() > max_size) return size;
  std::memcpy(data + tail, sealed.data(), sealed.size());
  return tail + sealed.size();
}
