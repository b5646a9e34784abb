// Which processors a rank's process computes on.
#pragma once

#include <cstdint>

#include "kernels/cpu/options.h"

namespace dray::engine {

// Leaves this process its share of the processors, as MakeBackends divides them among ranks that are
// threads: those of rank r of `world` ranks of this machine begin behind r / world of all. Ranks that
// are more than processors share them. Turns the numbers of threads in `cpu` into those of this rank.
// Call it before the process starts threads that compute.
void TakeShare(int64_t rank, int64_t world, kernels::CpuOptions& cpu);

}  // namespace dray::engine
