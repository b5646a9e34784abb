// A folder for files that no other process needs.
#pragma once

#include <filesystem>
#include <string_view>
#include <utility>

#include "base/status.h"

namespace dray {

// Removed with the object. A process that is killed before that leaves its folder; the next Make with the same
// parent and prefix removes it. Movable.
class TemporaryFolder {
 public:
  // Makes a folder in `parent`, which must exist, that only this user may enter. Its name is `prefix` and six more
  // characters; nothing else in `parent` may be called so. kIo if it cannot be made.
  static Result<TemporaryFolder> Make(const std::filesystem::path& parent, std::string_view prefix);

  TemporaryFolder() = default;
  TemporaryFolder(TemporaryFolder&& other) noexcept
      : path_(std::exchange(other.path_, {})), lock_(std::exchange(other.lock_, -1)) {}
  TemporaryFolder& operator=(TemporaryFolder&& other) noexcept {
    std::swap(path_, other.path_);
    std::swap(lock_, other.lock_);
    return *this;
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder();

  // "" of an object that was not made.
  const std::filesystem::path& path() const { return path_; }

 private:
  explicit TemporaryFolder(std::filesystem::path path);

  std::filesystem::path path_;
  // A descriptor of the folder, locked as long as it is in use. -1: none.
  int lock_ = -1;
};

}  // namespace dray
