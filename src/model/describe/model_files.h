// The way from a path to a model's description and its tensors, whatever kind of files lie there.
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

// A directory with config.json and weights, or a GGUF model: the file, or a directory that holds
// one and no other weights. A GGUF model's description is in the file, and a config.json beside it
// is not read; generation_config.json is, if there is one. Whether the head is tied to the token
// table is settled (tied_head.h).
Result<ModelFiles> OpenModelFiles(const std::filesystem::path& path,
                                  const checkpoint::OpenOptions& options = {});

// The description alone, for which a directory needs no weights.
Result<ModelDescription> DescribeModelFiles(const std::filesystem::path& path);

}  // namespace dray::model
