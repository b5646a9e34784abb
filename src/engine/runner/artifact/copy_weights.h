// Whether the weights of a mapped artifact are copied into memory of the process's own.
#pragma once

#include <memory>

#include "artifact/mapped_artifact.h"
#include "base/status.h"
#include "engine/engine_options.h"
#include "engine/runner/loaded_model.h"

namespace dray::engine {

// Begins to copy the weights behind their addresses (artifact/placement/background_copy.h), if `options` ask for that
// or, with kAuto, where it pays: the mapping is mostly in small pages, the file is so large that these make computing
// slower, and there is memory for the copy. Ranks in other processes share the mapping, which is not copied then.
Status CopyWeights(LoadedModel& model,
                   const std::shared_ptr<const artifact::MappedArtifact>& artifact,
                   const LoadModelOptions& options);

}  // namespace dray::engine
