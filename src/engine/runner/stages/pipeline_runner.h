// The runner of a model whose layers are divided over the stages of a pipeline.
#pragma once

#include <memory>

#include "base/status.h"
#include "engine/runner/loaded_model.h"
#include "engine/runner/model_runner.h"

namespace dray::engine {

// Allocates the caches and all working memory of the ranks; steps allocate none. The model has two
// stages or more, each with one or more ranks, and must outlive the runner, which computes on
// `backends`.
//
// The runner takes as many steps as there are stages: while a stage computes a step, the stage
// before it computes the next one. A failure of any rank ends the runner, and its message says which
// rank it was.
//
// Threads: owns one for each rank.
Result<std::unique_ptr<ModelRunner>> MakePipelineRunner(const LoadedModel& model,
                                                        const Backends& backends,
                                                        const RunnerSpec& spec);

}  // namespace dray::engine
