// From settings and files to a model that answers text requests.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <string>

#include "base/status.h"
#include "serving/load/load_progress.h"
#include "serving/load/model_files.h"
#include "serving/served_model.h"
#include "serving/workers/memory_budget.h"
#include "settings/settings.h"

namespace dray::serving {

struct OpenModelOptions {
  std::string version = {};
  LoadProgress progress = nullptr;
  // Ends it with kCancelled.
  std::stop_token stop = {};
  // Of which the model takes its memory; null: there is no other model.
  MemoryBudget* budget = nullptr;
  // For ModelOptions::on_failed.
  std::function<void()> on_failed = nullptr;
  // Keeps temporary files of the model. The model holds it if it may read its files again later, as
  // one does whose ranks are processes.
  std::shared_ptr<const void> files = nullptr;
};

// Loads weights and tokenizer, and the draft model if the settings name one, and starts the engine.
// engine=Echo reads no files.
// `settings.model_name` "" means the last part of the model's path. Errors name the folder;
// kResourceExhausted if the budget has too little memory, kDeadlineExceeded if the weights take longer
// than settings.model_loading_timeout_s.
Result<std::shared_ptr<ServedModel>> OpenModel(const settings::ModelSettings& settings,
                                               const ModelFiles& files,
                                               OpenModelOptions options = {});

}  // namespace dray::serving
