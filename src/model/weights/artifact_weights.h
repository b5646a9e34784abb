// Weights that an artifact holds (artifact/manifest.h): how slots are called there, what the artifact
// says of its model, and how a rank gets its part of them. An artifact holds the weights of the whole
// model, so that any number of ranks and stages can be made of it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "artifact/artifact_writer.h"
#include "artifact/mapped_artifact.h"
#include "base/parse/json.h"
#include "base/status.h"
#include "kernels/backend.h"
#include "model/describe/model_description.h"
#include "model/weights/loader.h"
#include "model/weights/weights.h"

namespace dray::model {

// How an artifact's weights were made, and what its config.json does not say.
struct ArtifactFacts {
  std::string family;
  std::string source_checksum;    // of the files that it was made of (engine/partition_files.h)
  std::string checkpoint_format;  // "safetensors", "gguf", "dummy"
  uint64_t checkpoint_bytes = 0;
  kernels::WeightForm format;
  kernels::WeightForm table_format;
  bool is_smoothed = false;
  // What the checkpoint's tensors have settled (tied_head.h, gguf_config.h, split_names.h).
  bool tied_head = false;
  bool attention_out_bias = false;
  std::optional<int64_t> embed_dim;  // absent: that of config.json
  std::vector<float> rope_frequency_divisors;
};

Json FactsJson(const ArtifactFacts& facts);
// kCorrupt, which begins with `where`.
Result<ArtifactFacts> ParseFacts(const Json& json, const std::string& where);
// Fills the parts that `config` decides.
void SetFactsOf(const ModelConfig& config, ArtifactFacts& facts);
// Changes the configuration that was read from the artifact's config.json to that of its model.
void ApplyFacts(const ArtifactFacts& facts, ModelConfig& config);

// What an artifact calls a weight, whose layer is one of the whole model.
std::string ArtifactName(const WeightPlace& place);

// The layer of the whole model that an artifact's tensor of this name belongs to; none if it is outside of the
// layers, or in those of an encoder beside a decoder.
std::optional<int64_t> LayerOf(std::string_view tensor_name);

// Appends a weight to the artifact that is being written.
Status WriteWeight(artifact::ArtifactWriter& writer, kernels::Memory& memory,
                   const WeightPlace& place, const Weight& weight);

// The weights of options.rank and options.stage. Matrices share the artifact's memory as far as
// Packer::TakePart can; vectors, which are less than a thousandth of a model, are copied. Uses only the
// options `rank`, `stage`, `stop` and `before_slot`. kCorrupt, naming the artifact, if it has not the
// weights that the model's family names; kUnsupported if its matrices are in another layout than the
// backend's.
Result<Weights> LoadArtifactWeights(const ModelDescription& model,
                                    const std::shared_ptr<const artifact::MappedArtifact>& artifact,
                                    kernels::Backend& backend, const LoadOptions& options);

}  // namespace dray::model
