// From settings and files to a model that answers text requests.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/status.h"
#include "serving/load/model_files.h"
#include "serving/served_model.h"
#include "serving/workers/memory_budget.h"
#include "settings/settings.h"

namespace dray::serving {

// Called while weights are read, with the bytes done and their total.
using LoadProgress = std::function<void(uint64_t done_bytes, uint64_t total_bytes)>;

struct OpenModelOptions {
  std::string version = {};
  LoadProgress progress = nullptr;
  // Ends it with kCancelled.
  std::stop_token stop = {};
  // Of which the model takes its memory; null: there is no other model.
  MemoryBudget* budget = nullptr;
  // Keeps temporary files of the model. The model holds it if it may read its files again later, as
  // one does whose ranks are processes.
  std::shared_ptr<const void> files = nullptr;
};

// Loads weights and tokenizer, and the draft model if the settings name one, and starts the engine.
// engine=Echo reads no files.
// `settings.model_name` "" means the last part of the model's path. Errors name the folder;
// kResourceExhausted if the budget has too little memory.
Result<std::shared_ptr<ServedModel>> OpenModel(const settings::ModelSettings& settings,
                                               const ModelFiles& files,
                                               OpenModelOptions options = {});

}  // namespace dray::serving
