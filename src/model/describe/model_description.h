// From a model directory's config.json and generation_config.json to a checked ModelConfig.
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
#include "model/config/model_config.h"
#include "model/families/family_spec.h"

namespace dray::model {

struct ModelDescription {
  const FamilySpec* family = nullptr;
  ModelPart part = ModelPart::kMain;  // of the model that the files hold
  ModelConfig config;
  // The family's weights with the names and layouts of this model's files, and the prefixes that
  // the names may have. PlannedTensors point to the rows.
  std::vector<WeightRow> weights;
  std::span<const std::string_view> prefixes;
  // The config.json for which the metadata of a GGUF file stands; null if the model has such a file.
  Json gguf_config;
  // How the checkpoint stores linear layers whose weights are integers.
  std::optional<checkpoint::PackedFormat> packed;

  // Numbers of the whole model, tied ones counted once.
  int64_t num_parameters() const;
};

// The encoder of an encoder-decoder as a model by itself, whose weights are those of its layers alone.
ModelDescription EncoderOf(const ModelDescription& model);

// Does the same with parsed files. `generation_config` is null if there is no such file. `where` is
// put before the files' names in errors: a directory with its slash, or nothing.
Result<ModelDescription> DescribeModel(const std::string& where, const Json& config,
                                       const Json& generation_config);

// Reads a directory with config.json. Refuses unknown model types, sizes that are absent or out of
// range, and unsupported keys that would change the result; the error names file, key and value.
// Warns of unknown keys.
Result<ModelDescription> ReadModelDescription(const std::filesystem::path& model_dir);

// The directory's generation_config.json, or null if it has none.
Result<Json> ReadGenerationConfig(const std::filesystem::path& model_dir);

}  // namespace dray::model
