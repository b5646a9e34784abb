// How code that does not compute itself (settings, programs, tests) describes the backend that it
// wants.
#pragma once

#include <memory>
#include <vector>

#include "base/status.h"
#include "base/threads/worker_set.h"
#include "kernels/cpu/options.h"

namespace dray::kernels {

class Backend;

// The host's processors are the only device so far; another one adds its options and a choice.
struct BackendOptions {
  CpuOptions cpu = {};
};

// kInvalidArgument if a number is out of range; kUnsupported, naming what there is, if a forced
// instruction set is unknown or missing.
Result<std::unique_ptr<Backend>> MakeBackend(const BackendOptions& options);

// Backends for the ranks of a group that computes one model, in the order of ranks. They divide the
// threads of `options` evenly, and have no processor in common. With GroupTurns::kTogether, the
// group's steps take the processors of all ranks at once: a step of the first backend begins before
// those of the others and ends after them. With kNone, ranks may be at different steps; these take
// no turns with other models. Also kInvalidArgument, naming the limit, if there are fewer threads or
// processors than ranks.
Result<std::vector<std::unique_ptr<Backend>>> MakeBackends(const BackendOptions& options,
                                                           int num_ranks, GroupTurns turns);
// The number of ranks that suits this machine: one for each memory node.
int NumNaturalRanks(const BackendOptions& options);

}  // namespace dray::kernels
