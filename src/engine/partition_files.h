// The small files that an artifact takes over from its model's folder.
#pragma once

#include <cstdint>
#include <filesystem>

#include "artifact/artifact_writer.h"
#include "base/status.h"
#include "model/describe/model_description.h"

namespace dray::engine {

// Adds configuration and tokenizer to the artifact. `tokenizer` is a folder or a GGUF file; of a GGUF
// model, what its metadata says becomes files.
Status AddModelFiles(const std::filesystem::path& model, const std::filesystem::path& tokenizer,
                     const model::ModelDescription& description, artifact::ArtifactWriter& writer);

// A checksum of the names, sizes and times of a model's files, to tell whether they are still those that an
// artifact was made of.
Result<uint64_t> SourceChecksum(const std::filesystem::path& model);

}  // namespace dray::engine
