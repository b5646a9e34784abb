// What happens to a model that does not fit into memory: it runs from an artifact, a part of which stays on the disk
// (engine/runner/artifact/offload.h).
#pragma once

#include <cstdint>
#include <filesystem>

#include "base/status.h"
#include "engine/engine_options.h"
#include "serving/load/model_files.h"
#include "serving/workers/memory_budget.h"
#include "settings/settings.h"

namespace dray::serving {

// Sets load.max_memory_bytes if the model's weights are larger than the setting max_memory allows or, without this
// setting, than what is free. A checkpoint of that size is first written as an artifact to offload_dir, and
// `load` and `files` then name the artifact. `budget` is null if the process has no other models; `modules` is what
// FolderOfModules (open_encoder.h) finds.
// kResourceExhausted, with the sizes and the next step, if a checkpoint is too large and there is no offload_dir;
// errors of EnsureArtifact.
Status PrepareOffload(const settings::ModelSettings& settings, const MemoryBudget* budget,
                      const std::filesystem::path& modules, engine::LoadModelOptions& load,
                      ModelFiles& files);

// The bytes of the files that hold the weights of a model; 0 if they are not found, which loading then says.
int64_t WeightFileBytes(const std::filesystem::path& model);

}  // namespace dray::serving
