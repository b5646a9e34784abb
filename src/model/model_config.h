// From a model directory's config.json and generation_config.json to a checked DecoderConfig.
#pragma once

#include <filesystem>

#include "base/status.h"
#include "model/config.h"
#include "model/family_spec.h"

namespace dray::model {

struct ModelDescription {
  const FamilySpec* family = nullptr;
  DecoderConfig config;
};

// Refuses, naming file, key and value: unknown model types, absent or absurd sizes, keys that would
// change the result and are not supported. Keys that nobody knows are named in a warning.
Result<ModelDescription> ReadModelDescription(const std::filesystem::path& model_dir);

}  // namespace dray::model
