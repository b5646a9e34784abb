// The end records of a ZIP archive, narrow and ZIP64, which say where its central directory is.
// Separate from zip_reader.h, which reads the directory and the entries.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/status.h"

namespace dray::checkpoint {

// The central directory's place, within the archive, and the number of entries that it should have.
struct ZipDirectory {
  uint64_t offset = 0;
  uint64_t size = 0;
  uint64_t entries = 0;
};

// Errors start with `path`.
Result<ZipDirectory> FindZipDirectory(std::span<const std::byte> bytes, std::string_view path);

}  // namespace dray::checkpoint
