// What an artifact takes over from a model of sentence-transformers: modules.json, and the folders of the modules that
// make a vector of the tokens' states (model/sentence/sentence_config.h).
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/status.h"

namespace dray::engine {

struct ModuleFile {
  std::string name;            // in the artifact: "2_Dense/model.safetensors"
  std::filesystem::path path;  // in the model's folder
};

// The files of all modules but the transformer, whose own an artifact has anyway. `folder` has modules.json.
// Errors of reading this file, or a module that has no weights though it needs some.
Result<std::vector<ModuleFile>> FindModuleFiles(const std::filesystem::path& folder);

// The text of an artifact's modules.json: that of `folder`, but with the transformer in the artifact's own folder.
Result<std::string> ModulesOfArtifact(const std::filesystem::path& folder);

}  // namespace dray::engine
