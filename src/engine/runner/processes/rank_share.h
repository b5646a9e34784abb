// Which processors a rank's process computes on.
#pragma once

#include <cstdint>

#include "engine/engine_options.h"
#include "kernels/cpu/options.h"

namespace dray::engine {

// Leaves this process, rank `rank` of the `world` ranks that its model has on this machine, its part of
// the model's share of the processors. Parts are cut as MakeBackends divides the processors among ranks
// that are threads: if there are n parts, those of all ranks of all shares, part p begins behind p / n of
// the processors. Parts that are more than processors share them. Turns the numbers of threads in
// `cpu`, those of all shares, into those of this rank. Call it before the process starts threads that compute.
void TakeShare(int64_t rank, int64_t world, const ProcessorShare& share, kernels::CpuOptions& cpu);

}  // namespace dray::engine
