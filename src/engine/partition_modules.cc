#include "engine/partition_modules.h"

#include <cstddef>
#include <cstdint>
#include <utility>

#include "base/file.h"
#include "base/parse/json.h"
#include "checkpoint/weight_files.h"
#include "model/sentence/sentence_config.h"

namespace dray::engine {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxModulesBytes = uint64_t{1} << 20;

struct ModuleList {
  Json json;  // of modules.json
  std::vector<model::SentenceModule> modules;
};

Result<ModuleList> ReadModules(const fs::path& folder) {
  const fs::path path = folder / "modules.json";
  DRAY_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxModulesBytes));
  auto json = Json::Parse(text);
  if (!json.ok()) return json.status().WithPrefix(path.string());
  DRAY_ASSIGN_OR_RETURN(auto modules, model::ParseModules(path.string(), *json));
  return ModuleList{std::move(*json), std::move(modules)};
}

}  // namespace

Result<std::vector<ModuleFile>> FindModuleFiles(const fs::path& folder) {
  DRAY_ASSIGN_OR_RETURN(const ModuleList list, ReadModules(folder));
  std::vector<ModuleFile> files;
  for (const model::SentenceModule& module : list.modules) {
    const bool has_weights = module.type == "Dense";
    if (!has_weights && module.type != "Pooling") continue;
    const fs::path name = module.folder.lexically_normal();
    files.push_back({(name / "config.json").string(), folder / name / "config.json"});
    if (!has_weights) continue;
    DRAY_ASSIGN_OR_RETURN(const auto weights, checkpoint::FindWeightFiles(folder / name));
    for (const fs::path& file : weights.files) {
      files.push_back({(name / file.filename()).string(), file});
    }
  }
  return files;
}

Result<std::string> ModulesOfArtifact(const fs::path& folder) {
  DRAY_ASSIGN_OR_RETURN(ModuleList list, ReadModules(folder));
  for (size_t i = 0; i < list.modules.size(); ++i) {
    if (list.modules[i].type == "Transformer") (*list.json.AsArray())[i].Set("path", "");
  }
  return list.json.Dump(1);
}

}  // namespace dray::engine
