// Opens a model: from a path to the model's description and tensors, for every kind of model files.
#pragma once

#include <filesystem>

#include "base/status.h"
#include "checkpoint/checkpoint.h"
#include "model/describe/model_description.h"

namespace dray::model {

struct ModelFiles {
  ModelDescription description;
  checkpoint::Checkpoint checkpoint;
};

// `path` is a directory with config.json and weights, or a GGUF file, or a directory with one GGUF
// file and no other weights. A GGUF file has its own description: of the files beside it only
// generation_config.json is read, not config.json. tied_head.h settles whether the head is tied to
// the token table. The data of an artifact without its manifest is refused by name.
Result<ModelFiles> OpenModelFiles(const std::filesystem::path& path,
                                  const checkpoint::OpenOptions& options = {});

// Reads only the description. A directory needs no weights for that.
Result<ModelDescription> DescribeModelFiles(const std::filesystem::path& path);

}  // namespace dray::model
