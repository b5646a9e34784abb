// The small model that is part of the program, so that `dray serve demo` works on a machine that
// has nothing else.
#pragma once

#include <filesystem>
#include <utility>

#include "base/status.h"

namespace dray::cli {

// The name that people type for it in place of a directory.
inline constexpr const char* kDemoModelName = "demo";

// Writes the demo model's files to a directory of its own, which is removed with the object. A process that is
// killed before that leaves its directory; the next one removes it.
class DemoModel {
 public:
  // The directory is made in the system's folder for temporary files (TMPDIR).
  static Result<DemoModel> Extract();

  DemoModel(DemoModel&& other) noexcept
      : dir_(std::exchange(other.dir_, {})), lock_(std::exchange(other.lock_, -1)) {}
  DemoModel& operator=(DemoModel&& other) noexcept {
    std::swap(dir_, other.dir_);
    std::swap(lock_, other.lock_);
    return *this;
  }
  DemoModel(const DemoModel&) = delete;
  DemoModel& operator=(const DemoModel&) = delete;
  ~DemoModel();

  const std::filesystem::path& dir() const { return dir_; }

 private:
  explicit DemoModel(std::filesystem::path dir);

  std::filesystem::path dir_;
  // A descriptor of the directory, locked as long as it is in use. -1: none.
  int lock_ = -1;
};

}  // namespace dray::cli
