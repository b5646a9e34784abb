// Which models a server loads when it starts.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/status.h"
#include "serving/manager/model_manager.h"

namespace dray::serving {

// `load_models` is ALL (every model of the store), NONE, or a list that commas or spaces separate.
// An item is a model's URL, or "[name:version:engine:devices]=URL", where the brackets may be missing, and parts from
// the end; ALL may be an item, too. Relative paths are looked for in the store first. `store` "":
// there is none. Errors name the item.
//
// The models of a store are its folders, archives and .gguf files in alphabetical order, but for
// hidden ones; a store that has a config.json or a serving.properties is a model itself.
Result<std::vector<Registration>> ListStartUpModels(const std::filesystem::path& store,
                                                    const std::string& load_models);

}  // namespace dray::serving
