// What `dray inspect` prints of an artifact.
#pragma once

#include <filesystem>
#include <iosfwd>

#include "base/status.h"
#include "cli/inspect_command.h"

namespace dray::cli {

// Reads the manifest alone, and no weights.
Status PrintArtifact(const std::filesystem::path& folder, TensorTable tensors, std::ostream& out);

}  // namespace dray::cli
