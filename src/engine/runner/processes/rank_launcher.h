// Starts the processes of a group of ranks, which compute one model, whenever the group's runner needs new
// ones.
#pragma once

#include <chrono>
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
  explicit RankLauncher(LoadModelOptions options, std::unique_ptr<RankProcesses> started = nullptr);

  // Starts processes, and keeps them for Take. The first start takes what it takes. A later one that takes ten times
  // as long, and the ranks' time limit, fails with kUnavailable: a rank hangs in it.
  Status Start();
  // The processes that were started and not taken; null if there are none.
  const RankProcesses* processes() const { return processes_.get(); }
  // Gives away the processes; starts new ones if there are none.
  Result<std::unique_ptr<RankProcesses>> Take();
  // Gives away the processes; null if there are none.
  std::unique_ptr<RankProcesses> TakeStarted() { return std::move(processes_); }
  const LoadModelOptions& options() const { return options_; }

 private:
  // By the time that the processes took.
  void LimitLaterStarts();

  LoadModelOptions options_;
  // 0 until the first start has told how long one takes.
  std::chrono::milliseconds longest_start_{0};
  std::unique_ptr<RankProcesses> processes_;
};

}  // namespace dray::engine
