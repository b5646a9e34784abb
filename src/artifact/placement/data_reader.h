// Reads parts of an artifact's data file into memory. Apart from MappedFile, because a mapping of a file takes
// the system's cache, and what is read again for every token would push everything else out of that cache.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

#include "base/open_file.h"
#include "base/status.h"

namespace dray::artifact {

// Where the bytes come from.
enum class ReadThrough {
  kCache,  // the system's cache of the file, which keeps what was read
  kDevice,  // the disk itself, if its file system can do that; else the cache, which is then emptied of it
};

// Threads: any.
class DataReader {
 public:
  // Addresses, offsets and sizes of reads are multiples of this: a block of every disk that we run on.
  static constexpr int64_t kAlignment = 4096;

  // Reads the file that `file` has open, also if its name leads to another one now. kIo.
  static Result<DataReader> Open(const OpenFile& file, const std::filesystem::path& path,
                                 ReadThrough through);
  DataReader(DataReader&& other) noexcept;
  DataReader& operator=(DataReader&& other) noexcept;
  DataReader(const DataReader&) = delete;
  DataReader& operator=(const DataReader&) = delete;
  ~DataReader();

  // Fills `out` with the bytes from `offset` on. `out` may end behind the file's end, by less than kAlignment.
  // kIo if the disk fails, kCorrupt if the file has become shorter; both name the file.
  Status Read(int64_t offset, std::span<std::byte> out) const;

 private:
  DataReader(std::filesystem::path path, int64_t file_bytes)
      : path_(std::move(path)), file_bytes_(file_bytes) {}

  std::filesystem::path path_;
  int64_t file_bytes_;
  int descriptor_ = -1;
  bool empties_cache_ = false;
};

}  // namespace dray::artifact
