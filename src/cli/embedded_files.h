// Files that are built into the program (cmake/EmbedFiles.cmake).
#pragma once

#include <string_view>
#include <vector>

namespace dray::cli {

struct EmbeddedFile {
  std::string_view name;  // without folders
  std::string_view content;
};

// The demo model: the files of models/demo that loading and tokenizing need.
std::vector<EmbeddedFile> EmbeddedDemoFiles();

}  // namespace dray::cli
