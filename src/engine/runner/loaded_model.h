// A model's weights in memory, its description, and the backend that computes it. A ModelRunner
// (model_runner.h) computes steps with these.
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
  // A model and its draft model compute in turn and share one backend.
  std::shared_ptr<kernels::Backend> backend;
  model::ModelDescription description;
  model::Weights weights;
  // How the weights of the layers, and of the tables around them, are stored.
  kernels::WeightForm format;
  kernels::WeightForm table_format;
  // For reports.
  std::string checkpoint_format;
  uint64_t checkpoint_bytes = 0;
  double load_seconds = 0;
};

// Returns options.backend, or makes a backend from options.backend_options if that is null.
Result<std::shared_ptr<kernels::Backend>> BackendOf(const LoadModelOptions& options);

// Reads config.json and the weight files of the directory, or a GGUF model.
Result<std::unique_ptr<LoadedModel>> LoadModel(const LoadModelOptions& options);

}  // namespace dray::engine
