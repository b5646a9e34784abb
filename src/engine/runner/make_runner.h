// The runner that fits a model.
#pragma once

#include <memory>

#include "base/status.h"
#include "engine/runner/loaded_model.h"
#include "engine/runner/model_runner.h"

namespace dray::engine {

// MakeLocalRunner for a model of one rank, MakeGroupRunner for one of several ranks,
// MakePipelineRunner for one of several stages, MakeProcessRunner if the ranks are processes. The
// model must outlive the runner.
Result<std::unique_ptr<ModelRunner>> MakeRunner(LoadedModel& model, const RunnerSpec& spec);
// Makes such runners on other backends than those of the model's ranks, for weights that several
// runners share. The ranks are threads. There is a backend for each rank, and only one runner uses them.
RunnerMaker MakeRunnerOn(Backends backends);
// Makes such runners with the processes of `launcher`, which no other runner uses.
RunnerMaker MakeRunnerBy(std::shared_ptr<RankLauncher> launcher);

}  // namespace dray::engine
