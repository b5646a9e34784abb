#include "cli/open_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/log.h"
#include "cli/human.h"
#include "cli/open_tokenizer.h"
#include "cli/progress.h"
#include "engine/token_engine.h"
#include "serving/tokenizer_codec.h"
#include "tokenizer/tokenizer.h"

namespace dray::cli {
namespace {

// Settings may name a file relative to the model's folder.
std::filesystem::path LocateFile(const std::filesystem::path& model_dir,
                                 const std::filesystem::path& file) {
  if (!file.is_relative()) return file;
  std::error_code error;
  const bool beside =
      !std::filesystem::exists(file, error) && std::filesystem::exists(model_dir / file, error);
  return beside ? model_dir / file : file;
}

void LogModel(const engine::LoadedModel& model, const std::string& name) {
  LogInfo(fmt::format("{}: {} {}, {} parameters, {} as {}, loaded in {:.2f} s, {}", name,
                      model.description.config.family, model.checkpoint_format,
                      HumanCount(model.weights.num_parameters()),
                      HumanBytes(model.weights.size_bytes()), Name(model.format),
                      model.load_seconds, model.backend->Describe()));
}

Result<std::unique_ptr<engine::LoadedModel>> LoadDraft(const ResolvedModel& resolved,
                                                       const engine::LoadedModel& model) {
  DRAY_ASSIGN_OR_RETURN(engine::LoadModelOptions load, MakeLoadOptions(resolved));
  load.model_dir = resolved.draft_dir;
  load.backend = model.backend;
  load.format = serving::FormOf(resolved.settings.speculation.draft_dtype);
  load.table_format.reset();
  load.smoothing.reset();
  load.quantized_by.clear();
  auto draft = engine::LoadModel(load);
  if (!draft.ok()) return draft.status().WithPrefix("speculative_draft_model");
  LogModel(**draft, resolved.settings.model_name + "'s draft model");
  return draft;
}

}  // namespace

engine::EngineOptions MakeEngineOptions(const serving::Settings& settings) {
  engine::EngineOptions options;
  options.max_sequences = settings.max_rolling_batch_size;
  // serving::Model limits the queue. The engine's limit is higher, since here a request that will
  // run in the next step still counts as waiting.
  options.max_waiting = settings.job_queue_size + settings.max_rolling_batch_size;
  options.max_context_tokens = settings.max_model_len;
  options.kv_cache_bytes = settings.kv_cache_bytes;
  if (settings.max_rolling_batch_prefill_tokens > 0) {
    options.max_batch_tokens = settings.max_rolling_batch_prefill_tokens;
    options.max_prefill_chunk_tokens = settings.max_rolling_batch_prefill_tokens;
  }
  if (settings.block_size > 0) options.block_size = static_cast<int32_t>(settings.block_size);
  if (settings.kv_cache_dtype != "auto") options.kv_dtype = ParseDType(settings.kv_cache_dtype);
  return options;
}

Result<engine::LoadModelOptions> MakeLoadOptions(const ResolvedModel& resolved) {
  const serving::Settings& settings = resolved.settings;
  DRAY_ASSIGN_OR_RETURN(engine::LoadModelOptions load,
                        serving::MakeQuantization(settings.dtype, settings.quantization));
  if (load.smoothing) {
    std::filesystem::path& file = load.smoothing->calibration_file;
    file = file.empty() ? resolved.model_dir / "calibration.json"
                        : LocateFile(resolved.model_dir, file);
  }
  load.model_dir = resolved.model_dir;
  kernels::CpuOptions& cpu = load.backend_options.cpu;
  cpu.num_threads = static_cast<int>(settings.threads);
  cpu.num_prompt_threads = static_cast<int>(settings.threads_batch);
  cpu.pin_threads = settings.pin_threads;
  load.forbid_pickle = settings.forbid_pickle;
  if (settings.load_format == "dummy") load.load_format = engine::LoadFormat::kDummy;
  return load;
}

Result<std::shared_ptr<serving::Model>> OpenModel(const ResolvedModel& resolved) {
  const serving::Settings& settings = resolved.settings;
  engine::EngineOptions engine_options = MakeEngineOptions(settings);
  DRAY_ASSIGN_OR_RETURN(engine_options.speculation, serving::MakeSpeculation(settings.speculation));
  DRAY_ASSIGN_OR_RETURN(engine::LoadModelOptions load, MakeLoadOptions(resolved));
  // The tokenizer is read first: it is small, so an error in it is reported before gigabytes are
  // read.
  DRAY_ASSIGN_OR_RETURN(auto tokenizer, OpenTokenizer(resolved.tokenizer_dir));
  std::unique_ptr<engine::LoadedModel> model;
  {
    ProgressLine line("loading");
    load.progress = [&](uint64_t done, uint64_t total) { line.Update(done, total); };
    DRAY_ASSIGN_OR_RETURN(model, engine::LoadModel(load));
  }
  LogModel(*model, settings.model_name);
  std::unique_ptr<engine::LoadedModel> draft;
  if (engine_options.speculation.method == engine::SpeculationMethod::kDraftModel) {
    DRAY_ASSIGN_OR_RETURN(draft, LoadDraft(resolved, *model));
  }
  serving::ModelOptions options = serving::MakeModelOptions(settings);
  options.name = settings.model_name;
  options.eos_token_ids = model->description.config.eos_token_ids;
  DRAY_ASSIGN_OR_RETURN(auto engine,
                        engine::StartEngine(std::move(model), engine_options, std::move(draft)));
  return std::make_shared<serving::Model>(std::move(options), std::move(engine),
                                          serving::MakeTokenizerCodec(std::move(tokenizer)));
}

}  // namespace dray::cli
