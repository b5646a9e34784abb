// The Engine that serves: an EngineCore on a thread of its own.
#pragma once

#include <memory>

#include "engine/engine.h"
#include "engine/engine_options.h"
#include "engine/runner/loaded_model.h"

namespace dray::engine {

// Starts the engine's thread. Destroying the engine ends every open request with kCancelled and
// joins the thread. `draft` is the draft model that options.speculation may ask for; it should
// share the model's backend.
Result<std::unique_ptr<Engine>> StartEngine(std::unique_ptr<LoadedModel> model,
                                            const EngineOptions& options,
                                            std::unique_ptr<LoadedModel> draft = nullptr);

}  // namespace dray::engine
