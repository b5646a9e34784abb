// A strict reader of ZIP archives whose entries are used in place, which is what torch.save writes:
// stored, not compressed, not encrypted. Whatever two ZIP readers might understand differently is
// refused: entries of the same name, overlaps, gaps, headers that contradict each other, bytes
// before or after the archive.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace dray::checkpoint {

struct ZipEntry {
  std::string_view name;
  std::span<const std::byte> data;
  uint32_t crc32 = 0;  // as the archive states it; nothing here reads the data to compare
};

// Views into the archive's bytes, which must outlive it.
class ZipArchive {
 public:
  // Errors start with `path` and name the entry.
  static Result<ZipArchive> Read(std::span<const std::byte> bytes, std::string_view path);

  // In the order of their places in the file.
  std::span<const ZipEntry> entries() const { return entries_; }
  // Null if there is none of that name.
  const ZipEntry* Find(std::string_view name) const;

 private:
  std::vector<ZipEntry> entries_;
  std::vector<uint32_t> by_name_;  // indexes into entries_
};

}  // namespace dray::checkpoint
