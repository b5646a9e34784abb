#include "serving/load/worker_factory.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/machine/cpu_info.h"
#include "engine/runner/fill_ranks.h"
#include "engine/token_engine.h"

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

}  // namespace

Result<MemoryBudget::Lease> WorkerFactory::TakeMemory(engine::EngineOptions& options) {
  if (!setup_.budget) return MemoryBudget::Lease();
  MemoryBudget budget = *setup_.budget;
  options.free_memory_bytes = budget.available_bytes() - setup_.reserved_bytes;
  return budget.Take(options.kv_cache_bytes, setup_.reserved_bytes,
                     fmt::format("a worker of model \"{}\"", setup_.name));
}

WorkerParts WorkerFactory::Finish(std::unique_ptr<engine::Engine> engine,
                                  MemoryBudget::Lease memory) {
  const engine::EngineLimits limits = engine->limits();
  if (setup_.budget) memory.Resize(limits.cache_bytes);
  int64_t unknown = 0;
  max_context_tokens_.compare_exchange_strong(unknown, limits.max_context_tokens);
  return {.engine = std::move(engine), .memory = std::move(memory)};
}

Result<WorkerParts> WorkerFactory::MakeOnly() {
  engine::EngineOptions options = setup_.options;
  DRAY_ASSIGN_OR_RETURN(auto memory, TakeMemory(options));
  DRAY_ASSIGN_OR_RETURN(auto engine, engine::StartEngine(setup_.model, options, setup_.draft));
  return Finish(std::move(engine), std::move(memory));
}

Result<WorkerParts> WorkerFactory::Make(int64_t max_workers) {
  engine::EngineOptions options = setup_.options;
  if (setup_.draft != nullptr && setup_.model->num_stages > 1) {
    return Status(
        StatusCode::kUnsupported,
        fmt::format("model \"{}\" is a pipeline with a draft model, which has one worker; "
                    "set maxWorkers to 1, pipeline_parallel_degree to 1, or "
                    "speculative_method to ngram",
                    setup_.name));
  }
  if (setup_.model->launcher != nullptr) {
    return Status(
        StatusCode::kUnsupported,
        fmt::format("the ranks of model \"{}\" are processes, which serve one worker; set "
                    "maxWorkers to 1, or rank_transport to threads",
                    setup_.name));
  }
  if (setup_.model->offload) {
    return Status(
        StatusCode::kUnsupported,
        fmt::format("model \"{}\" does not fit into memory and is read from the disk step by step, "
                    "which serves one worker; set maxWorkers to 1",
                    setup_.name));
  }
  if (const int64_t context = max_context_tokens_) options.max_context_tokens = context;
  DRAY_ASSIGN_OR_RETURN(auto memory, TakeMemory(options));
  const engine::LoadedModel& model = *setup_.model;
  DRAY_ASSIGN_OR_RETURN(auto ranks, engine::BackendsOf(ShareOf(setup_.load, model, max_workers),
                                                       model.description.config));
  DRAY_ASSIGN_OR_RETURN(auto engine, engine::StartEngineOn(std::move(ranks.backends), setup_.model,
                                                           options, setup_.draft));
  return Finish(std::move(engine), std::move(memory));
}

}  // namespace dray::serving
