// The ranks of a model while it is loaded: how many there are, what computes them, and the threads
// that fill them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/status.h"
#include "engine/engine_options.h"
#include "engine/runner/loaded_model.h"
#include "model/config/model_config.h"
#include "model/weights/loader.h"

namespace dray::engine {

// What computes the ranks of a model.
struct RankBackends {
  // Stage by stage. With LoadModelOptions::only_rank, that rank's alone.
  std::vector<std::shared_ptr<kernels::Backend>> backends;
  int64_t ranks_in_stage = 1;
  int64_t num_stages = 1;
  int64_t first_rank = 0;  // the rank of the first backend
};

// The backends of the model's ranks: options.backends, at most one for each query head, or new ones.
// kInvalidArgument, naming the degrees that would do, if there are to be more ranks in a stage than
// the model has query heads, more stages than it has layers, or more ranks than the machine has room
// for. If the ranks are other processes, the backends have one thread each, for the front's own work.
Result<RankBackends> BackendsOf(const LoadModelOptions& options, const model::ModelConfig& config);

// Makes the weights of one rank.
using MakeRankWeights =
    std::function<Result<model::Weights>(RankModel& rank, const model::LoadOptions& options)>;

// Fills all ranks of the model at the same time: the first rank on the caller's thread, the others on
// threads of their own. The ranks of a stage go on to the next weight together, so that those that
// read the same bytes of a file read them at the same time, and a disk is read once. `options` are those of a
// single rank; only the first rank reports progress. Returns the first error in the order of ranks.
Status FillRanks(LoadedModel& model, const model::LoadOptions& options,
                 const MakeRankWeights& make);

}  // namespace dray::engine
