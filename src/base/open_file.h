// A regular file that is open for reading, and the state that tells its content from a later one. Apart
// from file.h because only the readers of whole files and of mapped ones need a descriptor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

#include "base/status.h"

namespace dray {

// What changes when a file is replaced, resized or written to.
struct FileState {
  uint64_t size_bytes = 0;
  uint64_t device = 0;
  uint64_t inode = 0;
  int64_t modified_ns = 0;
  // Of the last change to content or attributes. Unlike modified_ns no program can set it, so it gives
  // away a tool that rewrites a file and restores its time.
  int64_t changed_ns = 0;

  bool operator==(const FileState&) const = default;
};

// The state of the file that `path` leads to now. kNotFound or kIo.
Result<FileState> ReadFileState(const std::filesystem::path& path);

class OpenFile {
 public:
  // kNotFound or kIo if it cannot be opened, kInvalidArgument if it is no regular file.
  static Result<OpenFile> Open(const std::filesystem::path& path);

  OpenFile(OpenFile&& other) noexcept;
  OpenFile& operator=(OpenFile&& other) noexcept;
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  ~OpenFile();

  int descriptor() const { return descriptor_; }
  // As it was when the file was opened.
  const FileState& state() const { return state_; }

  // Fills `out`, which has the file's size, with its content. kCorrupt if the file was written to or
  // resized since Open.
  Status ReadAll(std::span<std::byte> out) const;
  // kCorrupt if the file was written to or resized since Open. That its name now leads elsewhere does not
  // count. Allocates nothing while all is well.
  Status CheckContent() const;

 private:
  explicit OpenFile(std::filesystem::path path) : path_(std::move(path)) {}

  std::filesystem::path path_;
  int descriptor_ = -1;
  FileState state_;
};

// The error for a file that is not the one that was opened any more.
Status FileChanged(const std::filesystem::path& path);

}  // namespace dray
