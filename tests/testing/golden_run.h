// Runs a loaded model over golden prompts: what tests of differently stored checkpoints share.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/runner/loaded_model.h"
#include "testing/golden_model.h"

namespace dray::testing {

// The largest difference of any golden logit over the largest |logit| of its row.
double WorstLogitError(engine::LoadedModel& model, const GoldenModel& golden);

// As many greedy tokens for each prompt as it has golden ones, in one ragged batch.
std::vector<std::vector<int32_t>> GreedyTokens(engine::LoadedModel& model,
                                               const GoldenModel& golden);

}  // namespace dray::testing
