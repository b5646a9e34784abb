#include "serving/load/open_model.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/human.h"
#include "base/log.h"
#include "checkpoint/weight_files.h"
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
                      HumanCount(model.description.num_parameters()),
                      HumanBytes(model.weight_bytes()), Name(model.format), model.load_seconds,
                      model.DescribeBackends()));
  if (model.num_ranks() == 1) return;
  std::vector<std::string> sizes;
  for (const engine::RankModel& rank : model.ranks) {
    sizes.push_back(HumanBytes(rank.weights.size_bytes()));
  }
  LogInfo(fmt::format("{}: tensor parallel degree {}, weights of the ranks: {}", name,
                      model.num_ranks(), fmt::join(sizes, ", ")));
}

// The draft model is computed by the ranks of `model`; how its weights are kept is a setting of its own.
Result<std::unique_ptr<engine::LoadedModel>> LoadDraft(engine::LoadModelOptions load,
                                                       const ModelSettings& settings,
                                                       const ModelFiles& files,
                                                       const engine::LoadedModel& model) {
  load.model_dir = files.draft;
  load.backends = model.backends();
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
  options.answer_shape = settings.answer_shape.value_or(settings::AnswerShape::kTokens);
  options.tgi_compat = settings.tgi_compat;
  options.stateful_sessions = settings.stateful_sessions;
  options.session_lifetime = std::chrono::seconds(settings.sessions_expiration_s);
  options.stream_by_default = settings.enable_streaming;
  return options;
}

int64_t MegabytesToBytes(int64_t megabytes) { return megabytes << 20; }

// What the model takes before its cache, as far as that is known before it is read.
int64_t ExpectedBytes(const ModelSettings& settings, const ModelFiles& files) {
  uint64_t bytes = 0;
  for (const auto& path : {files.model, files.draft}) {
    if (path.empty() || settings.load_format == engine::LoadFormat::kDummy) continue;
    const auto weights = checkpoint::FindWeightFiles(path);
    for (const auto& file : weights.ok() ? weights->files : std::vector<std::filesystem::path>()) {
      std::error_code error;
      const uint64_t size = std::filesystem::file_size(file, error);
      if (!error) bytes += size;
    }
  }
  return std::max(static_cast<int64_t>(bytes) + settings.kv_cache_bytes,
                  MegabytesToBytes(settings.required_memory_mb));
}

// The memory that a model has taken of the budget, if there is one.
class TakenMemory {
 public:
  static Result<TakenMemory> Take(const ModelSettings& settings, const ModelFiles& files,
                                  const OpenModelOptions& options, const std::string& name) {
    TakenMemory taken(options.budget, MegabytesToBytes(settings.reserved_memory_mb));
    if (options.budget == nullptr) return taken;
    DRAY_ASSIGN_OR_RETURN(
        taken.lease_, options.budget->Take(ExpectedBytes(settings, files), taken.reserved_bytes_,
                                           fmt::format("model \"{}\"", name)));
    return taken;
  }

  // The weights are loaded: what of the budget is free for a cache, and for other models.
  std::optional<int64_t> FreeBytes(int64_t weight_bytes) {
    if (budget_ == nullptr) return std::nullopt;
    lease_.Resize(weight_bytes);
    return budget_->available_bytes() - reserved_bytes_;
  }
  // The engine has its cache.
  void AddCache(int64_t cache_bytes) {
    if (budget_ != nullptr) lease_.Resize(lease_.bytes() + cache_bytes);
  }
  std::shared_ptr<const void> Keep() && {
    return std::make_shared<MemoryBudget::Lease>(std::move(lease_));
  }

 private:
  TakenMemory(MemoryBudget* budget, int64_t reserved_bytes)
      : budget_(budget), reserved_bytes_(reserved_bytes) {}

  MemoryBudget* budget_;
  int64_t reserved_bytes_;
  MemoryBudget::Lease lease_;
};

}  // namespace

Result<std::shared_ptr<ServedModel>> OpenModel(const ModelSettings& settings,
                                               const ModelFiles& files,
                                               OpenModelOptions open_options) {
  ModelOptions options = MakeModelOptions(settings, files);
  options.version = open_options.version;
  DRAY_ASSIGN_OR_RETURN(auto engine_options, settings::MakeEngineOptions(settings));
  DRAY_ASSIGN_OR_RETURN(auto load, settings::MakeLoadModelOptions(settings, files.model));
  load.progress = std::move(open_options.progress);
  // The tokenizer first: it is small, and a wrong one is told before gigabytes are read.
  DRAY_ASSIGN_OR_RETURN(auto tokenizer, OpenTokenizer(files.tokenizer));
  DRAY_ASSIGN_OR_RETURN(auto memory,
                        TakenMemory::Take(settings, files, open_options, options.name));
  DRAY_ASSIGN_OR_RETURN(auto model, engine::LoadModel(load));
  LogModel(*model, options.name);
  auto weight_bytes = static_cast<int64_t>(model->weight_bytes());
  std::unique_ptr<engine::LoadedModel> draft;
  if (engine_options.speculation.method == engine::SpeculationMethod::kDraftModel) {
    load.progress = nullptr;
    DRAY_ASSIGN_OR_RETURN(draft, LoadDraft(std::move(load), settings, files, *model));
    weight_bytes += static_cast<int64_t>(draft->weight_bytes());
  }
  engine_options.free_memory_bytes = memory.FreeBytes(weight_bytes);
  options.eos_token_ids = model->description.config.eos_token_ids;
  DRAY_ASSIGN_OR_RETURN(auto engine,
                        engine::StartEngine(std::move(model), engine_options, std::move(draft)));
  memory.AddCache(engine->limits().cache_bytes);
  options.memory = std::move(memory).Keep();
  return std::make_shared<ServedModel>(std::move(options), std::move(engine),
                                       MakeTokenizerCodec(std::move(tokenizer)));
}

}  // namespace dray::serving
