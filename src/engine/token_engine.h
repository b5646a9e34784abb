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

// Starts one of several engines that share the weights of `model`: it has a cache of its own and
// computes on `backends`, one for each rank of the model, which no other engine uses. The first ones
// compute the draft model, whose ranks are not more than the model's.
Result<std::unique_ptr<Engine>> StartEngineOn(Backends backends, std::shared_ptr<LoadedModel> model,
                                              const EngineOptions& options,
                                              std::shared_ptr<LoadedModel> draft = nullptr);

}  // namespace dray::engine
