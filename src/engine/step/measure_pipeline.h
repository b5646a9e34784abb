// Measures what steps cost in a model's pipeline, by steps of a few tokens that nobody asked for.
#pragma once

#include <chrono>
#include <cstdint>

#include "base/status.h"
#include "engine/runner/model_runner.h"
#include "scheduler/pipeline_costs.h"

namespace dray::engine {

// Runs steps of one row, alone and overlapping, and of a few rows, alone: about as much work as ten
// new tokens of one sequence. Includes what it takes to pass steps on to the stages, wherever these
// are. The steps write to the first blocks of the cache, so call this before any sequence has blocks.
// Fails as the runner does. A test may have a clock of its own.
Result<scheduler::PipelineCosts> MeasurePipeline(
    ModelRunner& runner, const RunnerSpec& spec, int64_t num_stages,
    std::chrono::steady_clock::time_point (*now)() = &std::chrono::steady_clock::now);

}  // namespace dray::engine
