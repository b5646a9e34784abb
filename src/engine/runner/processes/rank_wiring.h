// The memory files that connect the processes of a model's ranks with each other and with the front.
#pragma once

#include <memory>
#include <vector>

#include "base/status.h"
#include "engine/runner/loaded_model.h"
#include "engine/runner/model_runner.h"
#include "engine/runner/processes/rank_processes.h"
#include "parallel/link.h"

namespace dray::engine {

// The front's ends.
struct FrontLinks {
  // [rank], or the head's alone if the ranks are an MPI job.
  std::vector<std::unique_ptr<parallel::LinkSender>> orders;
  std::unique_ptr<parallel::LinkReceiver> results;
};

// How long a rank waits in a call of its group for another one. A stopped rank is noticed by its front
// within RankOptions::timeout, and the front names it; so the ranks wait longer.
std::chrono::milliseconds CallTimeout(const LoadModelOptions& options);

// How long the front waits for a piece before it calls the group lost. A rank that is gone, or
// waits for another one in vain, is noticed long before; this limit is for one that computes for
// ever.
std::chrono::milliseconds PieceTimeout(const LoadModelOptions& options);

// Connects the processes, and returns when all are ready for steps. `spec` is one of
// WithSmallPieces.
Result<FrontLinks> ConnectProcesses(const LoadedModel& model, const RunnerSpec& spec,
                                    RankProcesses& processes);

}  // namespace dray::engine
