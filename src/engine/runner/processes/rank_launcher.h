// Starts the processes of a group of ranks, which compute one model, whenever the group's runner needs new
// ones.
#pragma once

#include <memory>
#include <utility>

#include "base/status.h"
#include "engine/engine_options.h"
#include "engine/runner/processes/rank_processes.h"

namespace dray::engine {

// Threads: one at a time.
class RankLauncher {
 public:
  // The degrees of `options` are at least 1. `started` are processes that were started with such options,
  // if there are any.
  explicit RankLauncher(LoadModelOptions options, std::unique_ptr<RankProcesses> started = nullptr)
      : options_(std::move(options)), processes_(std::move(started)) {}

  // Starts processes, and keeps them for Take.
  Status Start();
  // The processes that were started and not taken; null if there are none.
  const RankProcesses* processes() const { return processes_.get(); }
  // Gives away the processes; starts new ones if there are none.
  Result<std::unique_ptr<RankProcesses>> Take();
  // Gives away the processes; null if there are none.
  std::unique_ptr<RankProcesses> TakeStarted() { return std::move(processes_); }
  const LoadModelOptions& options() const { return options_; }

 private:
  LoadModelOptions options_;
  std::unique_ptr<RankProcesses> processes_;
};

}  // namespace dray::engine
