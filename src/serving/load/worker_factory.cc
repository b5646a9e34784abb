#include "serving/load/worker_factory.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "artifact/manifest.h"
#include "base/machine/cpu_info.h"
#include "engine/runner/fill_ranks.h"
#include "engine/runner/processes/mpi_place.h"
#include "engine/runner/processes/rank_launcher.h"

namespace dray::serving {
namespace {

// The options of backends for the ranks of `model` that have the share of one of `max_workers`
// workers.
engine::LoadModelOptions ShareOf(engine::LoadModelOptions all, const engine::LoadedModel& model,
                                 int64_t max_workers) {
  const auto share = [&](int threads) {
    return static_cast<int>(std::max(model.num_ranks(), threads / max_workers));
  };
  all.backends.clear();
  all.tensor_parallel_degree = model.ranks_in_stage();
  all.pipeline_parallel_degree = model.num_stages;
  auto& cpu = all.backend_options.cpu;
  cpu.num_threads = share(cpu.num_threads > 0 ? cpu.num_threads : UsableCpuCount());
  if (cpu.num_prompt_threads > 0) cpu.num_prompt_threads = share(cpu.num_prompt_threads);
  return all;
}

bool IsUserJob(const engine::LoadedModel& model) {
  return model.launcher != nullptr &&
         model.launcher->options().ranks.transport == engine::RankTransport::kMpi &&
         engine::MpiPlaceOfProcess().has_value();
}

}  // namespace

int64_t WorkerFactory::GroupWeightBytes(const engine::LoadedModel& model) {
  if (model.launcher == nullptr) return 0;
  return artifact::IsArtifact(model.launcher->options().model_dir) ? 0 : model.memory_bytes();
}

Status WorkerFactory::CheckMayHaveSeveral(int64_t max_workers) const {
  if (setup_.model->offload) {
    return {
        StatusCode::kUnsupported,
        fmt::format("model \"{}\" does not fit into memory and is read from the disk step by step, "
                    "which serves one worker; set maxWorkers to 1",
                    setup_.name)};
  }
  const bool is_first =
      setup_.model->launcher == nullptr || setup_.model->launcher->processes() != nullptr;
  if (IsUserJob(*setup_.model) && (max_workers > 1 || !is_first)) {
    return {
        StatusCode::kUnsupported,
        fmt::format("the ranks of model \"{}\" are the processes of one mpirun, which serve one "
                    "worker; set maxWorkers to 1, or start dray serve without mpirun and with "
                    "rank_transport mpi",
                    setup_.name)};
  }
  return OkStatus();
}

// The home of a worker, but for its group.
Result<engine::EngineHome> WorkerFactory::MakeHome(int64_t max_workers) {
  const engine::LoadedModel& model = *setup_.model;
  const engine::LoadedModel* const draft = setup_.draft.get();
  engine::LoadModelOptions of_ranks = ShareOf(setup_.load, model, max_workers);
  if (model.launcher != nullptr) {
    // The processes divide all threads themselves.
    of_ranks.backend_options = setup_.load.backend_options;
    of_ranks.ranks.share.count = max_workers;
  }
  DRAY_ASSIGN_OR_RETURN(auto ranks, engine::BackendsOf(of_ranks, model.description.config));
  engine::EngineHome home{.backends = std::move(ranks.backends)};
  if (draft == nullptr) return home;
  if (model.num_stages == 1 && model.launcher == nullptr) {
    home.of_draft = home.backends;
    home.of_draft.resize(static_cast<size_t>(draft->num_ranks()));
    return home;
  }
  // The ranks of a pipeline are at different steps, and those of a group are other processes, so the draft
  // model has a rank of its own.
  engine::LoadModelOptions of_draft = ShareOf(setup_.load, model, max_workers);
  of_draft.tensor_parallel_degree = of_draft.pipeline_parallel_degree = 1;
  of_draft.ranks = {};
  DRAY_ASSIGN_OR_RETURN(auto drafting, engine::BackendsOf(of_draft, draft->description.config));
  home.of_draft = std::move(drafting.backends);
  return home;
}

// Gives the worker its group of processes. Those of the first group were started with the model; the others
// start, and load their weights, when the worker's engine makes its runner.
Status WorkerFactory::AddGroup(int64_t max_workers, const std::stop_token& stop,
                               engine::EngineHome& home, WorkerParts& parts) {
  engine::RankLauncher& of_model = *setup_.model->launcher;
  auto started = of_model.TakeStarted();
  const int64_t weights = GroupWeightBytes(*setup_.model);
  if (started != nullptr) {
    parts.weights = std::move(setup_.weights);
  } else if (setup_.budget) {
    DRAY_ASSIGN_OR_RETURN(
        parts.weights,
        setup_.budget->Take(weights, setup_.reserved_bytes,
                            fmt::format("the ranks of a worker of model \"{}\"", setup_.name)));
  }
  const auto free_share = std::find_if(groups_.begin(), groups_.end(),
                                       [](const auto& group) { return group.expired(); });
  const int64_t index = free_share - groups_.begin();
  engine::LoadModelOptions options = of_model.options();
  options.ranks.share = {.index = index % max_workers, .count = max_workers};
  if (started == nullptr) options.stop = stop;
  home.launcher = std::make_shared<engine::RankLauncher>(std::move(options), std::move(started));
  if (free_share == groups_.end()) {
    groups_.push_back(home.launcher);
  } else {
    *free_share = home.launcher;
  }
  return OkStatus();
}

Status WorkerFactory::TakeMemory(engine::EngineOptions& options, WorkerParts& parts) {
  if (!setup_.budget) return OkStatus();
  options.free_memory_bytes = setup_.budget->available_bytes() - setup_.reserved_bytes;
  DRAY_ASSIGN_OR_RETURN(parts.memory,
                        setup_.budget->Take(options.kv_cache_bytes, setup_.reserved_bytes,
                                            fmt::format("a worker of model \"{}\"", setup_.name)));
  return OkStatus();
}

WorkerParts WorkerFactory::Finish(std::unique_ptr<engine::Engine> engine, WorkerParts parts) {
  const engine::EngineLimits limits = engine->limits();
  if (setup_.budget) parts.memory.Resize(limits.cache_bytes);
  int64_t unknown = 0;
  max_context_tokens_.compare_exchange_strong(unknown, limits.max_context_tokens);
  parts.engine = std::move(engine);
  return parts;
}

Result<WorkerParts> WorkerFactory::MakeOnly() {
  if (setup_.model->launcher != nullptr) return Make(1, {});
  engine::EngineOptions options = setup_.options;
  WorkerParts parts;
  DRAY_RETURN_IF_ERROR(TakeMemory(options, parts));
  DRAY_ASSIGN_OR_RETURN(auto engine, engine::StartEngine(setup_.model, options, setup_.draft));
  return Finish(std::move(engine), std::move(parts));
}

Result<WorkerParts> WorkerFactory::Make(int64_t max_workers, const std::stop_token& stop) {
  DRAY_RETURN_IF_ERROR(CheckMayHaveSeveral(max_workers));
  engine::EngineOptions options = setup_.options;
  if (const int64_t context = max_context_tokens_) options.max_context_tokens = context;
  WorkerParts parts;
  DRAY_ASSIGN_OR_RETURN(engine::EngineHome home, MakeHome(max_workers));
  if (setup_.model->launcher != nullptr) {
    DRAY_RETURN_IF_ERROR(AddGroup(max_workers, stop, home, parts));
  }
  DRAY_RETURN_IF_ERROR(TakeMemory(options, parts));
  DRAY_ASSIGN_OR_RETURN(
      auto engine, engine::StartEngineOn(std::move(home), setup_.model, options, setup_.draft));
  return Finish(std::move(engine), std::move(parts));
}

}  // namespace dray::serving
