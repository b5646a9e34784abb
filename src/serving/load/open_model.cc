#include "serving/load/open_model.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "artifact/manifest.h"
#include "artifact/mapped_artifact.h"
#include "base/human.h"
#include "base/log.h"
#include "engine/partition.h"
#include "engine/runner/loaded_model.h"
#include "serving/echo/open_echo_model.h"
#include "serving/load/offload.h"
#include "serving/load/open_encoder.h"
#include "serving/load/open_tokenizer.h"
#include "serving/load/worker_factory.h"
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
    sizes.push_back(HumanBytes(rank.weight_bytes()));
  }
  LogInfo(fmt::format(
      "{}: tensor parallel degree {}, pipeline parallel degree {}, weights of the ranks: {}", name,
      model.ranks_in_stage(), model.num_stages, fmt::join(sizes, ", ")));
}

// The draft model is computed by the ranks of `model`, or, if these form a pipeline and are at
// different steps, or are other processes, by one rank of its own; how its weights are kept is a setting of its own.
Result<std::unique_ptr<engine::LoadedModel>> LoadDraft(engine::LoadModelOptions load,
                                                       const ModelSettings& settings,
                                                       const ModelFiles& files,
                                                       const engine::LoadedModel& model) {
  load.model_dir = files.draft;
  load.tensor_parallel_degree = load.pipeline_parallel_degree = 1;
  load.ranks.transport = engine::RankTransport::kThreads;
  if (model.num_stages == 1 && model.launcher == nullptr) load.backends = model.backends();
  load.format = settings.speculation.draft_dtype;
  load.max_memory_bytes = 0;
  load.table_format.reset();
  load.smoothing.reset();
  load.quantized_by.clear();
  auto draft = engine::LoadModel(load);
  if (!draft.ok()) return draft.status().WithPrefix("speculative_draft_model");
  LogModel(**draft, "its draft model");
  return draft;
}

// The number for processors goes over the plain one; `otherwise` if neither is set.
int64_t WorkerCount(int64_t for_cpu, int64_t plain, int64_t otherwise) {
  if (for_cpu > 0) return for_cpu;
  return plain > 0 ? plain : otherwise;
}

PoolOptions MakePoolOptions(const ModelSettings& settings) {
  const settings::WorkerSettings& workers = settings.workers;
  PoolOptions pool;
  const int64_t fewest = WorkerCount(workers.cpu_min_workers, workers.min_workers, 1);
  pool.max_workers = WorkerCount(workers.cpu_max_workers, workers.max_workers, fewest);
  pool.min_workers = std::min(fewest, pool.max_workers);
  pool.max_running = settings.max_rolling_batch_size;
  pool.batch_size = settings.batch_size;
  pool.max_batch_delay = std::chrono::milliseconds(settings.max_batch_delay_ms);
  pool.max_idle_time = std::chrono::seconds(settings.max_idle_time_s);
  pool.retry_threshold = settings.retry_threshold;
  return pool;
}

// Of an encoder.
void LimitToOneWorker(PoolOptions& pool, const std::string& name) {
  if (pool.max_workers > 1) {
    LogWarning(
        fmt::format("{}: maxWorkers is {}, but an encoder has one worker, which computes "
                    "with all threads",
                    name, pool.max_workers));
  }
  pool.min_workers = pool.max_workers = 1;
}

// Processes of ranks that are started with the model are those of its first worker, or of an encoder's only one.
void ShareProcessors(const std::filesystem::path& model, ModelOptions& options,
                     engine::LoadModelOptions& load) {
  const bool starts_ranks = load.ranks.transport != engine::RankTransport::kThreads;
  if (starts_ranks && options.pool.max_workers > 1 && IsFolderOfEncoder(model)) {
    LimitToOneWorker(options.pool, options.name);
  }
  load.ranks.share.count = options.pool.max_workers;
}

ModelOptions MakeModelOptions(const ModelSettings& settings, const ModelFiles& files) {
  ModelOptions options;
  options.name = settings.model_name.empty() ? ModelNameOf(files.model) : settings.model_name;
  options.job_queue_size = settings.job_queue_size;
  options.pool = MakePoolOptions(settings);
  options.predict_timeout = std::chrono::seconds(settings.predict_timeout_s);
  options.chunked_read_timeout = std::chrono::seconds(settings.chunked_read_timeout_s);
  options.output_format = settings.output_formatter;
  options.answer_shape = settings.answer_shape.value_or(settings::AnswerShape::kTokens);
  options.faster_transformer_beams = settings.faster_transformer_beams;
  options.tgi_compat = settings.tgi_compat;
  options.stateful_sessions = settings.stateful_sessions;
  options.session_lifetime = std::chrono::seconds(settings.sessions_expiration_s);
  options.stream_by_default = settings.enable_streaming;
  return options;
}

int64_t MegabytesToBytes(int64_t megabytes) { return megabytes << 20; }

// What the model takes before its cache, as far as that is known before it is read.
int64_t ExpectedBytes(const ModelSettings& settings, const ModelFiles& files,
                      int64_t max_memory_bytes) {
  int64_t bytes = settings.kv_cache_bytes;
  if (settings.load_format != engine::LoadFormat::kDummy) {
    const int64_t weights = WeightFileBytes(files.model);
    bytes += max_memory_bytes > 0 ? std::min(weights, max_memory_bytes) : weights;
    if (!files.draft.empty()) bytes += WeightFileBytes(files.draft);
  }
  return std::max(bytes, MegabytesToBytes(settings.required_memory_mb));
}

// The weights, and a backend for them.
struct LoadedParts {
  std::shared_ptr<engine::LoadedModel> model;
  std::unique_ptr<engine::LoadedModel> draft;  // null without one
  MemoryBudget::Lease memory;                  // that they take

  int64_t memory_bytes() const {
    return model->memory_bytes() + (draft == nullptr ? 0 : draft->memory_bytes());
  }
};

Result<LoadedParts> LoadParts(engine::LoadModelOptions load, const ModelSettings& settings,
                              const ModelFiles& files, MemoryBudget* budget,
                              const std::string& name) {
  LoadedParts parts;
  if (budget != nullptr) {
    DRAY_ASSIGN_OR_RETURN(parts.memory,
                          budget->Take(ExpectedBytes(settings, files, load.max_memory_bytes),
                                       MegabytesToBytes(settings.reserved_memory_mb),
                                       fmt::format("model \"{}\"", name)));
  }
  DRAY_ASSIGN_OR_RETURN(parts.model, engine::LoadModel(load));
  LogModel(*parts.model, name);
  if (!files.draft.empty()) {
    load.progress = nullptr;
    DRAY_ASSIGN_OR_RETURN(parts.draft, LoadDraft(std::move(load), settings, files, *parts.model));
  }
  if (budget != nullptr) parts.memory.Resize(parts.memory_bytes());
  return parts;
}

// In an artifact, a file that was changed since explains whatever the tokenizer's reader found wrong.
Status WhyTokenizerFailed(const std::filesystem::path& model, const Status& status) {
  if (!artifact::IsArtifact(model)) return status;
  const auto intact = artifact::MappedArtifact::Open(model);
  return intact.ok() ? status : intact.status();
}

// The workers that are there from the beginning.
Result<std::vector<WorkerParts>> MakeWorkers(WorkerFactory& factory, const PoolOptions& pool) {
  std::vector<WorkerParts> workers;
  if (pool.max_workers == 1) {
    DRAY_ASSIGN_OR_RETURN(workers.emplace_back(), factory.MakeOnly());
    return workers;
  }
  for (int64_t i = 0; i < std::max<int64_t>(1, pool.min_workers); ++i) {
    DRAY_ASSIGN_OR_RETURN(workers.emplace_back(), factory.Make(pool.max_workers, {}));
  }
  return workers;
}

}  // namespace

Result<std::shared_ptr<ServedModel>> OpenModel(const ModelSettings& settings,
                                               const ModelFiles& files,
                                               OpenModelOptions open_options) {
  ModelOptions options = MakeModelOptions(settings, files);
  options.version = open_options.version;
  options.on_failed = std::move(open_options.on_failed);
  if (settings.rank_transport != engine::RankTransport::kThreads) {
    options.files = std::move(open_options.files);
  }
  if (settings.engine == settings::EngineKind::kEcho) {
    return OpenEchoModel(settings, std::move(options));
  }
  WorkerFactory::Setup setup;
  setup.name = options.name;
  DRAY_ASSIGN_OR_RETURN(setup.options, settings::MakeEngineOptions(settings));
  DRAY_ASSIGN_OR_RETURN(ModelFiles needed, FilesOfTransformer(files));
  DRAY_ASSIGN_OR_RETURN(auto load, settings::MakeLoadModelOptions(settings, needed.model));
  ShareProcessors(needed.model, options, load);
  setup.load = load;
  if (setup.options.speculation.method != engine::SpeculationMethod::kDraftModel) {
    needed.draft.clear();
  }
  LoadDeadline deadline(std::chrono::seconds(settings.model_loading_timeout_s),
                        std::move(open_options.stop));
  load.progress = [&, progress = std::move(open_options.progress)](uint64_t done, uint64_t total) {
    if (progress) progress(done, total);
    deadline.Progress(done, total);
  };
  load.stop = deadline.stop_token();
  if (!settings.save_artifact.empty()) {
    const Status ready = engine::EnsureArtifact({.load = load,
                                                 .tokenizer = needed.tokenizer,
                                                 .modules = FolderOfModules(files.model),
                                                 .output = settings.save_artifact});
    if (!ready.ok()) return deadline.Explain(ready);
    load.model_dir = setup.load.model_dir = needed.model = settings.save_artifact;
  }
  const Status prepared =
      PrepareOffload(settings, open_options.budget, FolderOfModules(files.model), load, needed);
  if (!prepared.ok()) return deadline.Explain(prepared);
  setup.load.model_dir = load.model_dir;
  // A wrong tokenizer ends the load of the weights, and is what is told.
  TokenizerLoad opening(needed.tokenizer, [&deadline] { deadline.Stop(); });
  auto loaded = LoadParts(std::move(load), settings, needed, open_options.budget, options.name);
  auto tokenizer = opening.Take();
  if (!tokenizer.ok()) return WhyTokenizerFailed(setup.load.model_dir, tokenizer.status());
  if (!loaded.ok()) return deadline.Explain(loaded.status());
  LoadedParts parts = std::move(*loaded);
  DRAY_ASSIGN_OR_RETURN(const bool is_encoder, IsEncoder(*parts.model, settings));
  if (open_options.budget != nullptr && !is_encoder) {
    setup.weights = parts.memory.Split(WorkerFactory::GroupWeightBytes(*parts.model));
  }
  const auto memory = std::make_shared<MemoryBudget::Lease>(std::move(parts.memory));
  options.memory = memory;
  options.offload = parts.model->offload;
  if (is_encoder) {
    LimitToOneWorker(options.pool, options.name);
    DRAY_ASSIGN_OR_RETURN(auto encoder, OpenEncoder({.model = std::move(parts.model),
                                                     .tokenizer = std::move(*tokenizer),
                                                     .name = options.name,
                                                     .budget = open_options.budget,
                                                     .memory = memory.get()},
                                                    settings, files.model));
    return std::make_shared<ServedModel>(std::move(options), std::move(encoder));
  }
  options.eos_token_ids = parts.model->description.config.eos_token_ids;
  setup.model = std::move(parts.model);
  setup.draft = std::move(parts.draft);
  if (open_options.budget != nullptr) setup.budget.emplace(*open_options.budget);
  setup.reserved_bytes = MegabytesToBytes(settings.reserved_memory_mb);
  const auto factory = std::make_shared<WorkerFactory>(std::move(setup));
  DRAY_ASSIGN_OR_RETURN(auto workers, MakeWorkers(*factory, options.pool));
  return std::make_shared<ServedModel>(
      std::move(options), std::move(workers),
      [factory](int64_t max_workers, const std::stop_token& stop) {
        return factory->Make(max_workers, stop);
      },
      MakeTokenizerCodec(std::move(*tokenizer)));
}

}  // namespace dray::serving
