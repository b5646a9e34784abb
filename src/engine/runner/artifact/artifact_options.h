// Options of loading that an artifact has settled already, when it was written.
#pragma once

#include <filesystem>

#include "base/status.h"
#include "engine/engine_options.h"
#include "model/weights/artifact_weights.h"

namespace dray::engine {

// kInvalidArgument if `options` ask for weights in another form than the artifact in `folder` has; the
// error names both. Options that ask for nothing, or for what it has, are fine.
Status CheckArtifactOptions(const LoadModelOptions& options, const model::ArtifactFacts& facts,
                            const std::filesystem::path& folder);

}  // namespace dray::engine
