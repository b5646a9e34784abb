// From a model directory's config.json and generation_config.json to a checked DecoderConfig.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/parse/json.h"
#include "base/status.h"
#include "checkpoint/integers/packed_linear.h"
#include "model/config/config.h"
#include "model/families/family_spec.h"

namespace dray::model {

struct ModelDescription {
  const FamilySpec* family = nullptr;
  DecoderConfig config;
  // The family's weights as this model's files name and store them, and what may stand before the
  // names. PlannedTensors point to the rows.
  std::vector<WeightRow> weights;
  std::span<const std::string_view> prefixes;
  // How the checkpoint holds linear layers that are integers already.
  std::optional<checkpoint::PackedFormat> packed;
};

// The same from parsed files; `generation_config` is null if there is no such file. `where` stands
// before the files' names in errors: a directory with its slash, or nothing.
Result<ModelDescription> DescribeModel(const std::string& where, const Json& config,
                                       const Json& generation_config);

// Of a directory with config.json. Refuses, naming file, key and value: unknown model types, absent
// or absurd sizes, keys that would change the result and are not supported. Keys that nobody knows
// are named in a warning.
Result<ModelDescription> ReadModelDescription(const std::filesystem::path& model_dir);

// generation_config.json of a directory, or null if it has none.
Result<Json> ReadGenerationConfig(const std::filesystem::path& model_dir);

}  // namespace dray::model
