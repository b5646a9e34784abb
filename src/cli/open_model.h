// From resolved options to a model that answers text requests.
#pragma once

#include <memory>

#include "base/status.h"
#include "cli/model_options.h"
#include "engine/engine_options.h"
#include "serving/model.h"

namespace dray::cli {

// What the settings ask of the loader and of the engine.
Result<engine::LoadModelOptions> MakeLoadOptions(const ResolvedModel& resolved);
engine::EngineOptions MakeEngineOptions(const serving::Settings& settings);

// Loads weights and tokenizer, showing progress on a terminal, and starts the engine. Errors name
// the folder.
Result<std::shared_ptr<serving::Model>> OpenModel(const ResolvedModel& resolved);

}  // namespace dray::cli
