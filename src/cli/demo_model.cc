#include "cli/demo_model.h"

#include <fmt/format.h>

#include <fstream>

#include "cli/embedded_files.h"

namespace dray::cli {

namespace fs = std::filesystem;

Result<DemoModel> DemoModel::Extract() {
  std::error_code error;
  fs::path parent = fs::temp_directory_path(error);
  if (error) parent = "/tmp";
  auto folder = TemporaryFolder::Make(parent, "dray-demo-");
  if (!folder.ok()) return folder.status().WithPrefix("TMPDIR");
  DemoModel demo(std::move(folder).value());
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

}  // namespace dray::cli
