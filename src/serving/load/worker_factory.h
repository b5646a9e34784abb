// Makes the workers of a loaded model: engines over the same weights, each with a cache of its own.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/status.h"
#include "engine/engine_options.h"
#include "engine/runner/loaded_model.h"
#include "serving/workers/memory_budget.h"
#include "serving/workers/worker_pool.h"

namespace dray::serving {

class WorkerFactory {
 public:
  struct Setup {
    std::string name;  // of the model, for messages
    std::shared_ptr<engine::LoadedModel> model;
    std::shared_ptr<engine::LoadedModel> draft;  // null without one
    engine::EngineOptions options;
    // How the model was loaded, with the processors that all workers share.
    engine::LoadModelOptions load;
    std::optional<MemoryBudget> budget;  // absent: there is no other model
    int64_t reserved_bytes = 0;          // of the budget, to be left free
  };
  explicit WorkerFactory(Setup setup) : setup_(std::move(setup)) {}

  // The worker of a model that has only one: it computes on the model's own backend.
  Result<WorkerParts> MakeOnly();
  // One of at most `max_workers` workers, with its share of the processors. Its context is as long
  // as that of the first worker. kResourceExhausted if the cache does not fit into memory,
  // kUnsupported for a pipeline with a draft model, whose one backend only one worker may use.
  Result<WorkerParts> Make(int64_t max_workers);

 private:
  Result<MemoryBudget::Lease> TakeMemory(engine::EngineOptions& options);
  WorkerParts Finish(std::unique_ptr<engine::Engine> engine, MemoryBudget::Lease memory);

  const Setup setup_;
  std::atomic<int64_t> max_context_tokens_{0};  // of the first worker; 0 before there is one
};

}  // namespace dray::serving
