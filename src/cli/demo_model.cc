#include "cli/demo_model.h"

#include <fmt/format.h>
#include <stdlib.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <string>

#include "cli/embedded_files.h"

namespace dray::cli {

Result<DemoModel> DemoModel::Extract() {
  std::error_code error;
  const auto parent = std::filesystem::temp_directory_path(error);
  std::string pattern = (error ? std::filesystem::path("/tmp") : parent) / "dray-demo-XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr) {
    return Status(
        StatusCode::kIo,
        fmt::format("cannot make a folder like {} for the demo model: {}; set TMPDIR to a "
                    "folder that can be written to",
                    pattern, std::strerror(errno)));
  }
  DemoModel demo{std::filesystem::path(pattern)};
  for (const EmbeddedFile& file : EmbeddedDemoFiles()) {
    const auto path = demo.dir() / file.name;
    std::ofstream out(path, std::ios::binary);
    out.write(file.content.data(), static_cast<std::streamsize>(file.content.size()));
    out.close();
    if (!out)
      return Status(StatusCode::kIo,
                    fmt::format("cannot write {}: is the disk full?", path.string()));
  }
  return demo;
}

DemoModel::~DemoModel() {
  std::error_code ignored;
  if (!dir_.empty()) std::filesystem::remove_all(dir_, ignored);
}

}  // namespace dray::cli
