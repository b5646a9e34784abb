#include "serving/load/open_model.h"

#include <fmt/format.h>

#include <utility>

#include "base/human.h"
#include "base/log.h"
#include "engine/runner/loaded_model.h"
#include "engine/token_engine.h"
#include "serving/load/open_tokenizer.h"
#include "serving/tokenizer_codec.h"
#include "settings/engine_settings.h"
#include "tokenizer/tokenizer.h"

namespace dray::serving {
namespace {

using settings::ModelSettings;

void LogModel(const engine::LoadedModel& model, const std::string& name) {
  LogInfo(fmt::format("{}: {} {}, {} parameters, {} as {}, loaded in {:.2f} s, {}", name,
                      model.description.config.family, model.checkpoint_format,
                      HumanCount(model.weights.num_parameters()),
                      HumanBytes(model.weights.size_bytes()), Name(model.format),
                      model.load_seconds, model.backend->Describe()));
}

// The draft model shares the backend of `model`; how its weights are kept is a setting of its own.
Result<std::unique_ptr<engine::LoadedModel>> LoadDraft(engine::LoadModelOptions load,
                                                       const ModelSettings& settings,
                                                       const ModelFiles& files,
                                                       const engine::LoadedModel& model) {
  load.model_dir = files.draft;
  load.backend = model.backend;
  load.format = settings.speculation.draft_dtype;
  load.table_format.reset();
  load.smoothing.reset();
  load.quantized_by.clear();
  auto draft = engine::LoadModel(load);
  if (!draft.ok()) return draft.status().WithPrefix("speculative_draft_model");
  LogModel(**draft, "its draft model");
  return draft;
}

ModelOptions MakeModelOptions(const ModelSettings& settings, const ModelFiles& files) {
  ModelOptions options;
  options.name = settings.model_name.empty() ? ModelNameOf(files.model) : settings.model_name;
  options.job_queue_size = settings.job_queue_size;
  options.max_running = settings.max_rolling_batch_size;
  options.predict_timeout = std::chrono::seconds(settings.predict_timeout_s);
  options.chunked_read_timeout = std::chrono::seconds(settings.chunked_read_timeout_s);
  options.output_format = settings.output_formatter;
  options.stream_by_default = settings.enable_streaming;
  return options;
}

}  // namespace

Result<std::shared_ptr<ServedModel>> OpenModel(const ModelSettings& settings,
                                               const ModelFiles& files, LoadProgress progress) {
  ModelOptions options = MakeModelOptions(settings, files);
  DRAY_ASSIGN_OR_RETURN(const auto engine_options, settings::MakeEngineOptions(settings));
  DRAY_ASSIGN_OR_RETURN(auto load, settings::MakeLoadModelOptions(settings, files.model));
  load.progress = std::move(progress);
  // The tokenizer first: it is small, and a wrong one is told before gigabytes are read.
  DRAY_ASSIGN_OR_RETURN(auto tokenizer, OpenTokenizer(files.tokenizer));
  DRAY_ASSIGN_OR_RETURN(auto model, engine::LoadModel(load));
  LogModel(*model, options.name);
  std::unique_ptr<engine::LoadedModel> draft;
  if (engine_options.speculation.method == engine::SpeculationMethod::kDraftModel) {
    load.progress = nullptr;
    DRAY_ASSIGN_OR_RETURN(draft, LoadDraft(std::move(load), settings, files, *model));
  }
  options.eos_token_ids = model->description.config.eos_token_ids;
  DRAY_ASSIGN_OR_RETURN(auto engine,
                        engine::StartEngine(std::move(model), engine_options, std::move(draft)));
  return std::make_shared<ServedModel>(std::move(options), std::move(engine),
                                       MakeTokenizerCodec(std::move(tokenizer)));
}

}  // namespace dray::serving
