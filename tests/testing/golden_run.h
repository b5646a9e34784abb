// Runs a loaded model over golden prompts; shared by tests of checkpoints in different formats.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/runner/loaded_model.h"
#include "testing/golden_model.h"

namespace dray::testing {

// The largest difference between `logits` [positions, vocab] and the golden ones of a prompt, relative
// to the largest |logit| of its row. Infinite if there are fewer logits than golden ones.
double LogitError(const std::vector<float>& logits, const GoldenPrompt& prompt);
// The root mean square of a - b over that of b. Infinite if their sizes differ.
double Distance(const std::vector<float>& a, const std::vector<float>& b);

// The largest difference of any golden logit, relative to the largest |logit| of its row.
double WorstLogitError(engine::LoadedModel& model, const GoldenModel& golden);

// Generates greedily for all prompts in one ragged batch, as many tokens for each as it has golden
// ones.
std::vector<std::vector<int32_t>> GreedyTokens(engine::LoadedModel& model,
                                               const GoldenModel& golden);

}  // namespace dray::testing
