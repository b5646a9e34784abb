// The small model that is part of the program, so that `dray serve demo` works on a machine that
// has nothing else.
#pragma once

#include <filesystem>
#include <utility>

#include "base/machine/temporary_folder.h"
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

  const std::filesystem::path& dir() const { return folder_.path(); }

 private:
  explicit DemoModel(TemporaryFolder folder) : folder_(std::move(folder)) {}

  TemporaryFolder folder_;
};

}  // namespace dray::cli
