// The runner of a model whose ranks are processes that this one has started.
#pragma once

#include <memory>

#include "base/status.h"
#include "engine/runner/loaded_model.h"
#include "engine/runner/model_runner.h"
#include "engine/runner/processes/rank_launcher.h"

namespace dray::engine {

// Takes the processes of `launcher`, which starts those of the model's ranks, or has it start new ones,
// which load the model again. Steps allocate no memory.
//
// The runner takes as many steps as the model has stages. A failure ends the runner and all its
// processes; the error names the rank that was lost and how.
Result<std::unique_ptr<ModelRunner>> MakeProcessRunner(const LoadedModel& model,
                                                       RankLauncher& launcher,
                                                       const RunnerSpec& spec);

}  // namespace dray::engine
