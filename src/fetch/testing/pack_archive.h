// For tests: writes archives, also such as no honest program writes.
#pragma once

#include <archive_entry.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace dray::fetch {

struct PackedEntry {
  std::string name;
  std::string text = {};
  unsigned type = AE_IFREG;
  std::string link = {};  // of a link: where it leads
  // Of a hole behind the text.
  int64_t hole_bytes = 0;
};

// The format follows from the name's end: .zip, .mar, .tar, .gz, .tgz or .z.
void PackArchive(const std::filesystem::path& archive, const std::vector<PackedEntry>& entries);

// The files of a folder without subfolders, each with `prefix` before its name.
std::vector<PackedEntry> EntriesOf(const std::filesystem::path& folder, const std::string& prefix);

}  // namespace dray::fetch
