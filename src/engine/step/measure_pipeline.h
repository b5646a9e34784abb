// Measures what steps cost in a model's pipeline, by steps of a few tokens that nobody asked for.
#pragma once

#include <chrono>
#include <cstdint>

#include "base/status.h"
#include "engine/runner/model_runner.h"
#include "scheduler/pipeline_costs.h"

namespace dray::engine {

struct MeasuredPipeline {
  int64_t num_stages = 1;
  // Then all rows follow a source of one token. It is not computed, since that is no cost of a new token.
  bool has_encoder = false;
};

// Runs steps of one row, alone and overlapping, and of a few rows, alone: about as much work as ten
// new tokens of one sequence. Includes what it takes to pass steps on to the stages, wherever these
// are. The steps write to the first blocks of the cache, so call this before any sequence has blocks.
// Fails as the runner does. A test may have a clock of its own.
Result<scheduler::PipelineCosts> MeasurePipeline(
    ModelRunner& runner, const RunnerSpec& spec, const MeasuredPipeline& pipeline,
    std::chrono::steady_clock::time_point (*now)() = &std::chrono::steady_clock::now);

}  // namespace dray::engine
