// Runs an EngineCore on a thread of its own: the Engine that serves.
#pragma once

#include <memory>

#include "engine/engine.h"
#include "engine/engine_options.h"
#include "engine/runner/loaded_model.h"
#include "engine/runner/make_runner.h"
#include "engine/runner/model_runner.h"

namespace dray::engine {

// Starts the engine's thread. Destroying the engine ends every open request with kCancelled and
// joins the thread. `draft` is the draft model that options.speculation may ask for; it should
// share the model's backends, and several engines may share it. `make_runner` makes the model's runner.
Result<std::unique_ptr<Engine>> StartEngine(std::shared_ptr<LoadedModel> model,
                                            const EngineOptions& options,
                                            std::shared_ptr<LoadedModel> draft = nullptr,
                                            const RunnerMaker& make_runner = MakeRunner);

// What one of several engines of a model computes on. No other engine uses any of it.
struct EngineHome {
  // One for each rank of the model. If the ranks are processes, these are for the front's own work.
  Backends backends = {};
  // One for each rank of the draft model, such as the first ones of `backends`; none if there is no
  // draft model.
  Backends of_draft = {};
  // Has the processes of the ranks; null if the ranks are threads.
  std::shared_ptr<RankLauncher> launcher = nullptr;
};

// Starts one of several engines of `model`, with a cache of its own. They share the weights, unless the
// ranks are processes: then each engine's ranks load the model for themselves.
Result<std::unique_ptr<Engine>> StartEngineOn(EngineHome home, std::shared_ptr<LoadedModel> model,
                                              const EngineOptions& options,
                                              std::shared_ptr<LoadedModel> draft = nullptr);

}  // namespace dray::engine
