// A model in memory and the backend that computes it: what an engine runs.
#pragma once

#include <memory>
#include <string>

#include "base/status.h"
#include "engine/engine_options.h"
#include "kernels/backend.h"
#include "model/describe/model_description.h"
#include "model/weights/weights.h"

namespace dray::engine {

struct LoadedModel {
  // Models that compute in turn, such as a model and its draft model, share one.
  std::shared_ptr<kernels::Backend> backend;
  model::ModelDescription description;
  model::Weights weights;
  // Of the layers, and of the tables around them.
  kernels::WeightForm format;
  kernels::WeightForm table_format;
  // For reports.
  std::string checkpoint_format;
  uint64_t checkpoint_bytes = 0;
  double load_seconds = 0;
};

// The backend that options name, or one made from their description.
Result<std::shared_ptr<kernels::Backend>> BackendOf(const LoadModelOptions& options);

// Reads config.json and the weight files of the directory, or a GGUF model.
Result<std::unique_ptr<LoadedModel>> LoadModel(const LoadModelOptions& options);

}  // namespace dray::engine
