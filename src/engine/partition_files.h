// The small files that an artifact takes over from its model's folder.
#pragma once

#include <cstdint>
#include <filesystem>

#include "artifact/artifact_writer.h"
#include "base/status.h"
#include "model/describe/model_description.h"

namespace dray::engine {

struct ModelSources {
  std::filesystem::path model;      // a folder or a GGUF file
  std::filesystem::path tokenizer;  // the same
  std::filesystem::path modules;  // a folder with modules.json, perhaps that of the model; "": none
};

// Adds configuration, tokenizer and modules to the artifact. Of a GGUF model, what its metadata says becomes
// files.
Status AddModelFiles(const ModelSources& sources, const model::ModelDescription& description,
                     artifact::ArtifactWriter& writer);

// A checksum of the names, sizes and times of a model's files, to tell whether they are still those that an
// artifact was made of.
Result<uint64_t> SourceChecksum(const ModelSources& sources);

}  // namespace dray::engine
