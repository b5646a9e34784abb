// The one way to have a file's bytes in memory without reading them first: mapped read-only, with a way
// to give pages back once their bytes have been used. The file may be cut short or rewritten by
// somebody else at any time; that ends in an error of CheckUnchanged, never in the process's end.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>

#include "base/mapping_guard.h"
#include "base/open_file.h"
#include "base/status.h"

namespace dray {

// A regular file's bytes. Movable; the bytes end with the object.
//
// Threads: the const methods may be called from any thread.
class MappedFile {
 public:
  // Files of at most this size are read, not mapped: reading so little takes about 0.1 ms, and what was
  // read stays as it was, whatever happens to the file.
  static constexpr size_t kReadBytes = size_t{1} << 20;

  // Errors as of OpenFile::Open.
  static Result<MappedFile> Open(const std::filesystem::path& path);

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  // As long as the file was when it was opened. If it is cut short or rewritten meanwhile, they may be
  // another file's bytes, or zeros: nothing read from here is good before CheckUnchanged says so, and
  // what was checked must not be read again from here where a different value would do harm.
  // They begin at a multiple of 64, and those of a mapped file where a huge page does
  // (base/machine/huge_pages.h).
  std::span<const std::byte> bytes() const { return {data_, state_.size_bytes}; }
  const std::filesystem::path& path() const { return path_; }

  // Whether bytes of the file went away while they were read. Cheap; CheckUnchanged says the rest.
  bool damaged() const { return guard_.damaged(); }
  // kCorrupt, naming the file, if it was replaced, resized or written to since Open, or if bytes of it
  // could not be read; kNotFound if it is gone.
  Status CheckUnchanged() const;

  // Asks the kernel to map the file in huge pages where its file system can keep it in such.
  void PreferHugePages() const;
  // Asks the kernel to read `range` (a part of bytes()) soon.
  void WillNeed(std::span<const std::byte> range) const;
  // Takes the pages that lie wholly inside `range` out of this process; reading them again is
  // allowed, and reads the file.
  void Release(std::span<const std::byte> range) const;

 private:
  explicit MappedFile(std::filesystem::path path) : path_(std::move(path)) {}
  bool is_mapped() const { return data_ != nullptr && content_ == nullptr; }

  std::filesystem::path path_;
  FileState state_;
  std::unique_ptr<std::byte[]> content_;  // of a file that was read; null: mapped
  const std::byte* data_ = nullptr;
  MappingGuard guard_;
};

}  // namespace dray
