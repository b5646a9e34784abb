// A file that lives in memory, for fuzzing what reads files by path: no disk is touched, and
// nothing is left behind. Separate because several targets need it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>

namespace dray::fuzz {

class MemoryFile {
 public:
  MemoryFile(const uint8_t* data, size_t size);
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile();

  // Valid while this object lives.
  const std::filesystem::path& path() const { return path_; }

 private:
  int fd_;
  std::filesystem::path path_;
};

}  // namespace dray::fuzz
