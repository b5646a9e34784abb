#include "serving/load/resolve_model.h"

#include <utility>

#include "base/file.h"
#include "checkpoint/gguf/gguf_files.h"

namespace dray::serving {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxPropertiesBytes = 1 << 20;

}  // namespace

Result<Properties> ReadPropertiesFile(const fs::path& path) {
  DRAY_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxPropertiesBytes));
  auto properties = ParseProperties(text);
  if (!properties.ok()) return properties.status().WithPrefix(path.string());
  return properties;
}

Result<ResolvedFiles> ResolveModelFiles(settings::SettingSources sources, const fs::path& folder) {
  const fs::path properties = folder / "serving.properties";
  // A single file has no properties: those in its folder may belong to another model.
  if (!folder.empty() && !checkpoint::IsGgufFile(folder) && HasEntry(properties)) {
    DRAY_ASSIGN_OR_RETURN(sources.serving_properties, ReadPropertiesFile(properties));
  }
  DRAY_ASSIGN_OR_RETURN(auto loaded, settings::LoadSettings(sources));
  DRAY_ASSIGN_OR_RETURN(ModelFiles files, LocateModelFiles(loaded.settings.model, folder));
  std::string& name = loaded.settings.model.model_name;
  if (name.empty()) name = ModelNameOf(files.model);
  return ResolvedFiles{std::move(loaded.settings), std::move(files), std::move(loaded.warnings),
                       std::move(loaded.notes)};
}

}  // namespace dray::serving
