// Opens the model that the settings name, ready to answer text requests.
#pragma once

#include <memory>

#include "base/status.h"
#include "cli/model_options.h"
#include "engine/engine_options.h"
#include "serving/model.h"

namespace dray::cli {

// The loader's options, as the settings say.
Result<engine::LoadModelOptions> MakeLoadOptions(const ResolvedModel& resolved);
engine::EngineOptions MakeEngineOptions(const serving::Settings& settings);

// Loads weights and tokenizer, shows progress if there is a terminal, and starts the engine. Errors
// name the folder.
Result<std::shared_ptr<serving::Model>> OpenModel(const ResolvedModel& resolved);

}  // namespace dray::cli
