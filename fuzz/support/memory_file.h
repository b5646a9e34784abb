// A file in memory. Fuzz targets use it for readers that open files by path: the disk is not
// touched, and nothing is left behind.
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

  // The path is valid while this object exists.
  const std::filesystem::path& path() const { return path_; }

 private:
  int fd_;
  std::filesystem::path path_;
};

}  // namespace dray::fuzz
