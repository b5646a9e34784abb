// Files: read whole with a size limit, or mapped read-only with a way to give pages back once their
// bytes have been used.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "base/status.h"

namespace dray {

// The file's content; kResourceExhausted if it is larger than `max_bytes`. Only regular
// files are read.
Result<std::string> ReadFile(const std::filesystem::path& path, uint64_t max_bytes);

// Whether the folder has an entry of that name. A link to nothing counts: it is a file that got
// lost, and opening it gives the error that says so, where an absent one may be left out.
bool HasEntry(const std::filesystem::path& path);

// A regular file, mapped read-only. Movable; the mapping ends with the object.
class MappedFile {
 public:
  static Result<MappedFile> Open(const std::filesystem::path& path);

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::filesystem::path& path() const { return path_; }

  // Asks the kernel to read `range` (a part of bytes()) soon.
  void WillNeed(std::span<const std::byte> range) const;
  // Takes the pages that lie wholly inside `range` out of this process; reading them again is
  // allowed, and reads the file.
  void Release(std::span<const std::byte> range) const;

 private:
  MappedFile(std::filesystem::path path, const std::byte* data, size_t size)
      : path_(std::move(path)), data_(data), size_(size) {}

  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace dray
