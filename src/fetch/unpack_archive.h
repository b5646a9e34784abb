// Unpacks a model's archive. Archives come from outside, so only regular files and folders are
// unpacked, each below the target and each once, within limits.
#pragma once

#include <cstdint>
#include <filesystem>

#include "base/status.h"

namespace dray::fetch {

struct UnpackLimits {
  // Of all files together.
  uint64_t max_bytes = 0;
  // Of its entries, and of the folders that their names make.
  uint64_t max_entries = 100'000;
  // Bytes of all files over the bytes of the archive. Weights hardly shrink; text shrinks tenfold.
  uint64_t max_ratio = 100;
};

// Whether the name ends like an archive that UnpackArchive reads: .zip, .mar, .tar, .tar.gz, .tgz or
// .tar.z.
bool HasArchiveName(const std::filesystem::path& path);

// Unpacks `archive` into the new folder `target`, whose parent must exist. After an error nothing is
// left of it. kNotFound or kIo if a file cannot be read or written, kCorrupt if the archive is
// damaged, kInvalidArgument for an entry that is no file or folder below the target (a link, a
// device, "..", an absolute name, one name twice), kResourceExhausted for a limit. The message
// names the entry and the limit.
Status UnpackArchive(const std::filesystem::path& archive, const std::filesystem::path& target,
                     const UnpackLimits& limits);

}  // namespace dray::fetch
