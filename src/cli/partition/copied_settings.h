// The settings of a model's folder that also hold for an artifact of it.
#pragma once

#include <filesystem>
#include <string>

#include "base/status.h"

namespace dray::cli {

// The text of the folder's serving.properties without the keys that the artifact has settled, such as the form of
// weights, or that would lead away from it, such as option.model_id. "" if nothing is left, or if there is no such
// file. kInvalidArgument, naming the file, if it is no properties text.
Result<std::string> CopiedSettings(const std::filesystem::path& model);

}  // namespace dray::cli
