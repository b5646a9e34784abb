#include "serving/load/open_encoder.h"

#include <fmt/format.h>

#include <utility>

#include "base/file.h"
#include "settings/engine_settings.h"

namespace dray::serving {
namespace {

using engine::EncodeOutput;
using settings::Task;

// What a request gets that does not say what it wants.
EncodeOutput OutputOf(Task task, const engine::EncoderEngine& engine) {
  switch (task) {
    case Task::kFeatureExtraction:
      return EncodeOutput::kStates;
    case Task::kTextClassification:
      return EncodeOutput::kClasses;
    case Task::kTextEmbedding:
      return EncodeOutput::kVector;
    case Task::kAuto:
    case Task::kTextGeneration:
    case Task::kTextToText:
      break;
  }
  return engine.classifier() != nullptr ? EncodeOutput::kClasses : EncodeOutput::kVector;
}

Status WrongTask(std::string_view family, std::string_view what) {
  return {
      StatusCode::kInvalidArgument,
      fmt::format("option.task does not fit the model: {} models {}; remove the setting, or set it "
                  "to auto",
                  family, what)};
}

}  // namespace

Result<bool> IsEncoder(const engine::LoadedModel& model, const settings::ModelSettings& settings) {
  const auto& config = model.description.config;
  const bool is_encoder = config.kind == model::ModelKind::kEncoder;
  const bool wants_text =
      settings.task == Task::kTextGeneration || settings.task == Task::kTextToText;
  if (settings.task == Task::kTextToText && config.kind == model::ModelKind::kDecoder) {
    return WrongTask(config.family, "continue a text, and have no encoder that reads it");
  }
  if (is_encoder && wants_text) return WrongTask(config.family, "generate no text");
  if (is_encoder && settings.task == Task::kTextClassification && !config.classifier) {
    return WrongTask(config.family, "of this architecture have no classes");
  }
  if (!is_encoder && !wants_text && settings.task != Task::kAuto) {
    return WrongTask(config.family, "generate text, and make no vectors or classes of it");
  }
  return is_encoder;
}

bool IsFolderOfEncoder(const std::filesystem::path& model) {
  if (!HasEntry(model / "config.json")) return false;
  const auto description = model::ReadModelDescription(model);
  return description.ok() && description->config.kind == model::ModelKind::kEncoder;
}

Result<ModelFiles> FilesOfTransformer(const ModelFiles& files) {
  DRAY_ASSIGN_OR_RETURN(const auto folder, model::FindTransformerDir(files.model));
  ModelFiles found = files;
  if (found.tokenizer == found.model) found.tokenizer = folder;
  found.model = folder;
  return found;
}

std::filesystem::path FolderOfModules(const std::filesystem::path& model) {
  return HasEntry(model / "modules.json") ? model : std::filesystem::path();
}

Result<std::unique_ptr<EncoderService>> OpenEncoder(EncoderParts parts,
                                                    const settings::ModelSettings& settings,
                                                    const std::filesystem::path& model_dir) {
  DRAY_ASSIGN_OR_RETURN(const auto sentence, model::ReadSentenceConfig(model_dir));
  const engine::EncoderOptions options = settings::MakeEncoderOptions(settings);
  if (parts.budget != nullptr) {
    const int64_t bytes = engine::EncoderEngine::WorkingBytes(*parts.model, sentence, options);
    DRAY_ASSIGN_OR_RETURN(
        const auto working,
        parts.budget->Take(bytes, settings.reserved_memory_mb << 20,
                           fmt::format("the working memory of model \"{}\"", parts.name)));
    parts.memory->Resize(parts.memory->bytes() + bytes);
  }
  DRAY_ASSIGN_OR_RETURN(auto engine,
                        engine::EncoderEngine::Start(std::move(parts.model), sentence, options));
  const EncodeOutput output = OutputOf(settings.task, *engine);
  return std::make_unique<EncoderService>(std::move(engine), std::move(parts.tokenizer), sentence,
                                          output);
}

}  // namespace dray::serving
