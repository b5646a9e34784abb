// Makes the workers of a loaded model: engines, each with a cache of its own. Those whose ranks are threads
// share the weights. Those whose ranks are processes have a group of processes each, which are lost and
// started again without the others; such groups share weights that are mapped from an artifact, and
// load others for themselves.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/status.h"
#include "engine/engine_options.h"
#include "engine/runner/loaded_model.h"
#include "engine/token_engine.h"
#include "serving/workers/memory_budget.h"
#include "serving/workers/worker_pool.h"

namespace dray::serving {

// Threads: one at a time.
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
    // The memory of the weights that the processes of the model's first group have (GroupWeightBytes).
    MemoryBudget::Lease weights;
  };
  explicit WorkerFactory(Setup setup) : setup_(std::move(setup)) {}

  // What each group of processes takes for weights that it does not share with other groups.
  static int64_t GroupWeightBytes(const engine::LoadedModel& model);

  // The worker of a model that has only one: it computes on the model's own backend.
  Result<WorkerParts> MakeOnly();
  // One of at most `max_workers` workers, with its share of the processors. Its context is as long
  // as that of the first worker. kResourceExhausted if the cache, or the weights of its group, do not fit
  // into memory, kUnsupported if a user has started the ranks by mpirun, or if the weights are read from
  // the disk while the model computes, kCancelled if `stop` asks to end.
  Result<WorkerParts> Make(int64_t max_workers, const std::stop_token& stop);

 private:
  Status CheckMayHaveSeveral(int64_t max_workers) const;
  Result<engine::EngineHome> MakeHome(int64_t max_workers);
  Status AddGroup(int64_t max_workers, const std::stop_token& stop, engine::EngineHome& home,
                  WorkerParts& parts);
  Status TakeMemory(engine::EngineOptions& options, WorkerParts& parts);
  WorkerParts Finish(std::unique_ptr<engine::Engine> engine, WorkerParts parts);

  Setup setup_;
  std::atomic<int64_t> max_context_tokens_{0};  // of the first worker; 0 before there is one
  // [share of the processors]: the group that has the share, as long as its worker is there.
  std::vector<std::weak_ptr<engine::RankLauncher>> groups_;
};

}  // namespace dray::serving
