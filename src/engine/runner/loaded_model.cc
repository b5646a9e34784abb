#include "engine/runner/loaded_model.h"

#include <fmt/format.h>

#include <chrono>
#include <optional>
#include <string_view>
#include <utility>

#include "base/log.h"
#include "base/machine/cpu_info.h"
#include "checkpoint/checkpoint.h"
#include "engine/runner/artifact/artifact_options.h"
#include "engine/runner/artifact/copy_weights.h"
#include "engine/runner/artifact/offload.h"
#include "engine/runner/fill_ranks.h"
#include "engine/runner/load/encoder_load.h"
#include "engine/runner/load/weight_balance.h"
#include "engine/runner/processes/mpi_place.h"
#include "engine/runner/processes/rank_launcher.h"
#include "model/config/local_stack.h"
#include "model/describe/model_files.h"
#include "model/weights/artifact_weights.h"
#include "model/weights/dummy_weights.h"
#include "model/weights/loader.h"

namespace dray::engine {
namespace {

// Always the same number, so that the random weights are always the same.
constexpr uint64_t kDummySeed = 20220914;
constexpr uint64_t kEncoderDummySeed = kDummySeed + 1;

Status CheckQuantizedBy(const LoadModelOptions& options,
                        const model::ModelDescription& description) {
  using Order = checkpoint::PackedFormat::Order;
  const std::string_view method = !description.packed                        ? "not quantised"
                                  : description.packed->order == Order::kAwq ? "awq"
                                                                             : "gptq";
  if (options.quantized_by.empty() || options.quantized_by == method) return OkStatus();
  return {
      StatusCode::kInvalidArgument,
      fmt::format("{}: quantize is {}, but by its configuration the checkpoint is {}; remove the "
                  "setting: a quantised checkpoint is read as it is",
                  options.model_dir.string(), options.quantized_by, method)};
}

// What is not there for models that have an encoder beside their decoder.
Status CheckEncoderOptions(const LoadModelOptions& options, const model::ModelConfig& config) {
  if (!config.encoder) return OkStatus();
  const auto refuse = [&](std::string_view setting, std::string_view next_step) {
    return Status(StatusCode::kUnsupported,
                  fmt::format("{}: {} is not there for {} models, which have an encoder: {}",
                              options.model_dir.string(), setting, config.family, next_step));
  };
  if (options.smoothing)
    return refuse("smoothquant", "use dynamic_int8, which needs no calibration");
  return OkStatus();
}

// The model with the backends of its ranks, and without weights.
std::unique_ptr<LoadedModel> WithoutWeights(model::ModelDescription description, RankBackends ranks,
                                            const model::LoadOptions& options) {
  auto model = std::make_unique<LoadedModel>();
  model->description = std::move(description);
  const model::StackConfig& stack = model->description.config.stack;
  model->num_stages = ranks.num_stages;
  const int64_t world = ranks.ranks_in_stage;
  for (auto& backend : ranks.backends) {
    const int64_t number = ranks.first_rank + model->num_ranks();
    const parallel::Rank rank = {number % world, world};
    const parallel::Stage stage = {number / world, ranks.num_stages};
    const model::StackConfig local = model::LocalStack(stack, rank, stage);
    model->ranks.push_back({.backend = std::move(backend),
                            .rank = rank,
                            .stage = stage,
                            .stack = local,
                            .weights = model::Weights(local.num_layers)});
    if (const auto& encoder = model->description.config.encoder) {
      const model::StackConfig reader = model::LocalStack(*encoder, rank, stage);
      model->ranks.back().encoder.emplace(RankEncoder{reader, model::Weights(reader.num_layers)});
    }
  }
  model->format = options.format;
  model->table_format = options.TableFormat();
  return model;
}

Result<std::unique_ptr<LoadedModel>> LoadFiles(const LoadModelOptions& options,
                                               model::ModelFiles& files) {
  auto& [description, checkpoint] = files;
  DRAY_RETURN_IF_ERROR(CheckEncoderOptions(options, description.config));
  DRAY_ASSIGN_OR_RETURN(RankBackends ranks, BackendsOf(options, description.config));
  DRAY_ASSIGN_OR_RETURN(const auto plan, model::PlanTensors(description, checkpoint));
  DRAY_ASSIGN_OR_RETURN(const auto encoder, EncoderLoad::Make(description, checkpoint));
  DRAY_RETURN_IF_ERROR(CheckQuantizedBy(options, description));
  const bool known = !options.quantized_by.empty();
  const bool keep = !options.format || known;
  const kernels::Packer& packer = ranks.backends.front()->packer();
  model::LoadOptions load_options = {
      .format = options.format.value_or(model::AutomaticFormat(plan, packer)),
      .table_format = known ? options.format : options.table_format,
      .integers = keep ? model::StoredIntegers::kKeep : model::StoredIntegers::kConvert,
      .progress = options.progress,
      .stop = options.stop,
      .take = options.take};
  DRAY_ASSIGN_OR_RETURN(const auto balance, MakeBalance(options, description, plan, load_options));
  load_options.balance = balance->balance.get();
  if (encoder) DRAY_RETURN_IF_ERROR(encoder->PrepareBalance(options, load_options));
  // The plan points to rows of `description`, so the model gets a copy.
  auto model = WithoutWeights(description, std::move(ranks), load_options);
  model->checkpoint_format = std::string(checkpoint.format());
  model->checkpoint_bytes = checkpoint.total_bytes();
  if (options.ranks.transport != RankTransport::kThreads) return model;
  // The names of a structured binding are not captured by themselves.
  const auto fill_rank = [&, &from = description, &files = checkpoint](
                             RankModel& rank,
                             const model::LoadOptions& of_rank) -> Result<model::Weights> {
    if (!encoder) return model::LoadWeights(from, plan, files, *rank.backend, of_rank);
    DRAY_RETURN_IF_ERROR(encoder->Fill(rank, of_rank, plan));
    return model::LoadWeights(from, plan, files, *rank.backend, encoder->OptionsBehind(of_rank));
  };
  DRAY_RETURN_IF_ERROR(FillRanks(*model, load_options, fill_rank));
  // Other ranks of the stage, in processes of their own, have found the same.
  if (model->ranks.front().rank.index == 0) {
    if (const auto warning = balance->balance->Warning()) LogWarning(*warning);
    const auto of_encoder = encoder ? encoder->Warning() : std::nullopt;
    if (of_encoder) LogWarning(*of_encoder);
  }
  return model;
}

// Verifies the artifact's bytes, once for all ranks of this process. Ranks that are processes of one machine verify a
// share each, so that all of them together verify all bytes. Ranks on several machines may have different files, so each
// of them verifies all of its file.
Status VerifyBytes(const artifact::MappedArtifact& artifact, const LoadedModel& model,
                   artifact::VerifyOptions verify) {
  const RankModel& first = model.ranks.front();
  const int64_t all_ranks = first.stage.count * first.rank.world;
  const auto job = MpiPlaceOfProcess();
  if (model.num_ranks() < all_ranks && (!job || job->world == job->local_world)) {
    verify.part = first.stage.index * first.rank.world + first.rank.index;
    verify.parts = all_ranks;
  }
  verify.cpus = AllowedCpus();
  return artifact.Verify(verify);
}

Status CheckOffload(const LoadModelOptions& options, const artifact::MappedArtifact& artifact,
                    const model::ModelConfig& config) {
  const bool is_large = IsTooLarge(artifact.manifest().data.size_bytes, options.max_memory_bytes);
  if (is_large && config.encoder) {
    return {StatusCode::kUnsupported,
            fmt::format("{}: the weights do not fit into max_memory, and those of {} models, which "
                        "have an encoder, are not read from the disk layer by layer: raise "
                        "max_memory, or choose a smaller format",
                        artifact.folder().string(), config.family)};
  }
  if (!is_large || options.ranks.transport == RankTransport::kThreads) return OkStatus();
  return {StatusCode::kUnsupported,
          fmt::format("{}: the weights do not fit into max_memory, and only ranks that are threads "
                      "can read them from the disk layer by layer: set rank_transport to threads, "
                      "or raise max_memory",
                      artifact.folder().string())};
}

// All but the time that it took.
Result<std::unique_ptr<LoadedModel>> LoadFromArtifact(const LoadModelOptions& options) {
  const std::filesystem::path& folder = options.model_dir;
  DRAY_ASSIGN_OR_RETURN(const auto artifact, artifact::MappedArtifact::Open(folder));
  DRAY_ASSIGN_OR_RETURN(const auto facts, model::ParseFacts(artifact->manifest().model,
                                                            artifact->manifest_path().string()));
  DRAY_RETURN_IF_ERROR(CheckArtifactOptions(options, facts, folder));
  DRAY_ASSIGN_OR_RETURN(auto description, model::ReadModelDescription(folder));
  DRAY_RETURN_IF_ERROR(CheckOffload(options, *artifact, description.config));
  DRAY_RETURN_IF_ERROR(CheckEncoderOptions(options, description.config));
  DRAY_RETURN_IF_ERROR(CheckQuantizedBy(options, description));
  model::ApplyFacts(facts, description.config);
  DRAY_ASSIGN_OR_RETURN(RankBackends ranks, BackendsOf(options, description.config));
  const model::LoadOptions load_options = {.format = facts.format,
                                           .table_format = facts.table_format,
                                           .progress = options.progress,
                                           .stop = options.stop};
  auto model = WithoutWeights(std::move(description), std::move(ranks), load_options);
  model->checkpoint_format = "artifact of " + facts.checkpoint_format;
  model->checkpoint_bytes = static_cast<uint64_t>(artifact->manifest().data.size_bytes);
  if (options.ranks.transport != RankTransport::kThreads && !options.only_rank) return model;
  const bool is_large = IsTooLarge(artifact->manifest().data.size_bytes, options.max_memory_bytes);
  if (options.verify_artifact) {
    DRAY_RETURN_IF_ERROR(VerifyBytes(
        *artifact, *model,
        {.keeps_pages = !is_large, .progress = options.progress, .stop = options.stop}));
  }
  const auto map_rank = [&](RankModel& rank,
                            const model::LoadOptions& of_rank) -> Result<model::Weights> {
    rank.artifact = artifact;
    if (rank.encoder) {
      DRAY_ASSIGN_OR_RETURN(rank.encoder->weights,
                            model::LoadArtifactWeights(EncoderOf(model->description), artifact,
                                                       *rank.backend, of_rank));
    }
    return model::LoadArtifactWeights(model->description, artifact, *rank.backend, of_rank);
  };
  DRAY_RETURN_IF_ERROR(FillRanks(*model, load_options, map_rank));
  if (is_large) {
    DRAY_RETURN_IF_ERROR(OffloadWeights(*model, artifact, options.max_memory_bytes, options.stop));
  } else {
    DRAY_RETURN_IF_ERROR(CopyWeights(*model, artifact, options));
  }
  DRAY_RETURN_IF_ERROR(artifact->CheckIntact());
  return model;
}

// All but the time that it took.
Result<std::unique_ptr<LoadedModel>> LoadFromCheckpoint(const LoadModelOptions& options) {
  DRAY_ASSIGN_OR_RETURN(
      auto files,
      model::OpenModelFiles(options.model_dir, {.forbid_pickle = options.forbid_pickle}));
  auto model = LoadFiles(options, files);
  // That a file changed meanwhile explains any other error.
  if (!model.ok()) DRAY_RETURN_IF_ERROR(files.checkpoint.CheckUnchanged());
  return model;
}

Result<std::unique_ptr<LoadedModel>> MakeDummy(const LoadModelOptions& options) {
  if (options.smoothing) {
    return Status(
        StatusCode::kInvalidArgument,
        "smoothquant needs a checkpoint, but load_format is dummy: use dynamic_int8, which takes "
        "the same time");
  }
  DRAY_ASSIGN_OR_RETURN(auto description, model::DescribeModelFiles(options.model_dir));
  DRAY_RETURN_IF_ERROR(CheckEncoderOptions(options, description.config));
  DRAY_ASSIGN_OR_RETURN(RankBackends ranks, BackendsOf(options, description.config));
  const model::LoadOptions load_options = {
      .format = options.format.value_or(
          model::AutomaticFormat(description.config, ranks.backends.front()->packer())),
      .table_format = options.table_format,
      .progress = options.progress,
      .stop = options.stop,
      .take = options.take};
  auto model = WithoutWeights(std::move(description), std::move(ranks), load_options);
  model->checkpoint_format = "dummy";
  if (options.ranks.transport != RankTransport::kThreads) return model;
  const auto make_rank = [&](RankModel& rank,
                             const model::LoadOptions& of_rank) -> Result<model::Weights> {
    if (rank.encoder) {
      model::LoadOptions of_encoder = of_rank;
      of_encoder.progress = nullptr;
      DRAY_ASSIGN_OR_RETURN(rank.encoder->weights,
                            model::MakeDummyWeights(EncoderOf(model->description), *rank.backend,
                                                    of_encoder, kEncoderDummySeed));
    }
    return model::MakeDummyWeights(model->description, *rank.backend, of_rank, kDummySeed);
  };
  DRAY_RETURN_IF_ERROR(FillRanks(*model, load_options, make_rank));
  return model;
}

// Starts the processes of the model's ranks, which load their weights.
Status StartRanks(const LoadModelOptions& options, LoadedModel& model) {
  LoadModelOptions of_ranks = options;
  of_ranks.tensor_parallel_degree = model.ranks_in_stage();
  of_ranks.pipeline_parallel_degree = model.num_stages;
  of_ranks.backends.clear();
  model.launcher = std::make_shared<RankLauncher>(std::move(of_ranks));
  DRAY_RETURN_IF_ERROR(model.launcher->Start());
  for (int64_t rank = 0; rank < model.num_ranks(); ++rank) {
    model.ranks[static_cast<size_t>(rank)].remote = model.launcher->processes()->Describe(rank);
  }
  return OkStatus();
}

// Weights that are no artifact's are in memory as a whole.
Status CheckMemory(const LoadedModel& model, const LoadModelOptions& options) {
  if (!IsTooLarge(model.memory_bytes(), options.max_memory_bytes)) return OkStatus();
  return {StatusCode::kResourceExhausted,
          fmt::format("{}: the weights take {} bytes, but max_memory is {}: raise it, or write an "
                      "artifact with dray partition, which runs from the disk",
                      options.model_dir.string(), model.memory_bytes(), options.max_memory_bytes)};
}

}  // namespace

Backends LoadedModel::backends() const {
  Backends backends;
  for (const RankModel& rank : ranks) backends.push_back(rank.backend);
  return backends;
}

size_t LoadedModel::weight_bytes() const {
  size_t total = 0;
  for (const RankModel& rank : ranks) total += rank.weight_bytes();
  return total;
}

int64_t LoadedModel::mapped_bytes() const {
  if (ranks.front().artifact == nullptr || offload) return 0;
  return static_cast<int64_t>(checkpoint_bytes) - (copy == nullptr ? 0 : copy->copied_bytes());
}

int64_t LoadedModel::BlockBytes(const model::KvCacheSpec& spec) const {
  int64_t total = 0;
  for (const RankModel& rank : ranks) total += model::KvCache::BlockBytes(rank.stack, spec);
  return total;
}

std::string LoadedModel::DescribeBackends() const {
  const RankModel& rank = ranks.front();
  std::string first =
      rank.remote ? "a process on " + rank.remote->backend : rank.backend->Describe();
  if (num_ranks() == 1) return first;
  if (num_stages == 1) return fmt::format("{} ranks of {}", num_ranks(), first);
  return fmt::format("{} stages of {} rank{} of {}", num_stages, ranks_in_stage(),
                     ranks_in_stage() == 1 ? "" : "s", first);
}

Result<std::unique_ptr<LoadedModel>> LoadModel(const LoadModelOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  auto model = options.load_format == LoadFormat::kDummy ? MakeDummy(options)
               : artifact::IsArtifact(options.model_dir) ? LoadFromArtifact(options)
                                                         : LoadFromCheckpoint(options);
  if (!model.ok()) return model;
  if (options.ranks.transport != RankTransport::kThreads) {
    DRAY_RETURN_IF_ERROR(StartRanks(options, **model));
  }
  DRAY_RETURN_IF_ERROR(CheckMemory(**model, options));
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  (*model)->load_seconds = elapsed.count();
  return model;
}

}  // namespace dray::engine
