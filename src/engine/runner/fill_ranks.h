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

// The backends of the model's ranks: options.backends, at most one for each query head, or new ones.
// kInvalidArgument, naming the degrees that would do, if options.tensor_parallel_degree is more than
// the model's query heads or than the machine has room for.
Result<Backends> BackendsOf(const LoadModelOptions& options, const model::ModelConfig& config);

// Makes the weights of one rank.
using MakeRankWeights =
    std::function<Result<model::Weights>(RankModel& rank, const model::LoadOptions& options)>;

// Fills all ranks of the model at the same time: the first rank on the caller's thread, the others on
// threads of their own. Ranks go on to the next weight together, so that those that read the same
// bytes of a file read them at the same time, and a disk is read once. `options` are those of a
// single rank; only the first rank reports progress. Returns the first error in the order of ranks.
Status FillRanks(LoadedModel& model, const model::LoadOptions& options,
                 const MakeRankWeights& make);

}  // namespace dray::engine
