// Files, read whole with a size limit, and what a folder says of its entries. For the bytes of large
// files see mapped_file.h.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/status.h"

namespace dray {

// The file's content; kResourceExhausted if it is larger than `max_bytes`, kCorrupt if it is written to
// meanwhile. Only regular files are read.
Result<std::string> ReadFile(const std::filesystem::path& path, uint64_t max_bytes);

// Whether the folder has an entry of that name. A link to nothing counts: it is a file that got
// lost, and opening it gives the error that says so, where an absent one may be left out. So does one
// that cannot be looked up, for its folder may not be entered or its disk fails.
bool HasEntry(const std::filesystem::path& path);

// Whether the entries of the folder `path` can be listed and looked up: kNotFound or kIo, with the
// reason, if not. Ask before an absent entry is taken to mean that the folder has none.
Status CheckFolderReadable(const std::filesystem::path& path);

}  // namespace dray
