// From a loaded encoder and its files to a model that makes vectors of texts.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "base/status.h"
#include "engine/encoder/encoder_engine.h"
#include "engine/runner/loaded_model.h"
#include "serving/encoder/encoder_service.h"
#include "serving/load/model_files.h"
#include "serving/workers/memory_budget.h"
#include "settings/settings.h"
#include "tokenizer/tokenizer.h"

namespace dray::serving {

// Whether the loaded model is an encoder. kInvalidArgument, naming the setting, if `option.task` asks for
// something else than the model is for.
Result<bool> IsEncoder(const engine::LoadedModel& model, const settings::ModelSettings& settings);

// Whether the folder has the description of an encoder, as far as that is known before the model is loaded.
bool IsFolderOfEncoder(const std::filesystem::path& model);

// The files of a model whose config.json is in a folder of its own, as modules.json says
// (model/sentence/sentence_config.h); other files as they are.
Result<ModelFiles> FilesOfTransformer(const ModelFiles& files);

// The folder with modules.json that an artifact of the model needs (engine/partition.h): `model`, or "" if it has no
// such file.
std::filesystem::path FolderOfModules(const std::filesystem::path& model);

// What an encoder's engine is made of.
struct EncoderParts {
  std::shared_ptr<engine::LoadedModel> model;
  std::unique_ptr<tokenizer::Tokenizer> tokenizer;
  std::string name;                // for errors
  MemoryBudget* budget = nullptr;  // of the server; may be null
  // What the weights take of the budget; the engine's working memory is added.
  MemoryBudget::Lease* memory = nullptr;  // null without a budget
};

// Starts the engine of an encoder. The files in `model_dir` say how vectors are made. kResourceExhausted if the
// budget lacks memory for its passes; other errors as of engine::EncoderEngine::Start, and of reading these files.
Result<std::unique_ptr<EncoderService>> OpenEncoder(EncoderParts parts,
                                                    const settings::ModelSettings& settings,
                                                    const std::filesystem::path& model_dir);

}  // namespace dray::serving
