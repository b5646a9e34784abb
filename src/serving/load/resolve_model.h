// The settings and files of a model that is named by its folder.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/status.h"
#include "serving/load/model_files.h"
#include "settings/load_settings.h"

namespace dray::serving {

struct ResolvedFiles {
  settings::Settings settings;  // with the model's name
  ModelFiles files;
  // For the log, one sentence each: keys that have no effect, and choices that were made.
  std::vector<std::string> warnings, notes;
};

// Reads the serving.properties of `folder` (which may be a .gguf file, and has none then) and puts
// it among `sources`. Errors name the file, the key and its value.
Result<ResolvedFiles> ResolveModelFiles(settings::SettingSources sources,
                                        const std::filesystem::path& folder);

// A file of properties. Errors name it.
Result<Properties> ReadPropertiesFile(const std::filesystem::path& path);

}  // namespace dray::serving
