// Files that the build puts into the program (cmake/EmbedFiles.cmake).
#pragma once

#include <string_view>
#include <vector>

namespace dray::cli {

struct EmbeddedFile {
  std::string_view name;  // without folders
  std::string_view content;
};

// The demo model: everything in models/demo that loading and tokenising read.
std::vector<EmbeddedFile> EmbeddedDemoFiles();

}  // namespace dray::cli
