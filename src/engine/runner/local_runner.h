// The runner of one rank, on the thread that calls it.
#pragma once

#include <memory>

#include "base/status.h"
#include "engine/runner/loaded_model.h"
#include "engine/runner/model_runner.h"

namespace dray::engine {

// Allocates the cache and all working memory; steps allocate none. The model must outlive the
// runner.
Result<std::unique_ptr<ModelRunner>> MakeLocalRunner(LoadedModel& model, const RunnerSpec& spec);
// Makes such runners on another backend than the model's, for weights that several runners share.
// `backend` must outlive them.
RunnerMaker MakeLocalRunnerOn(kernels::Backend& backend);

}  // namespace dray::engine
