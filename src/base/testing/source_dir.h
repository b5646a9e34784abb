// Where the repository's files are that tests read: golden files, documentation, the demo model.
#pragma once

#include <filesystem>

namespace dray {

// The root of the source tree from which the test was built, as an absolute path. Only source_dir.cc is
// compiled with this path, so that a compiler cache serves the tests of other checkouts too.
std::filesystem::path SourceDir();

}  // namespace dray
