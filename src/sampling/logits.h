// Plain passes over one row of logits: the maximum, and log-probabilities.
//
// Log-probabilities that dray reports are the model's own: the log-softmax of its logits before
// penalties, temperature and cuts. So they do not depend on how tokens are chosen, agree between
// the prompt and the generated text, and can be compared between requests.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sampling/token_result.h"

namespace dray::sampling {

// The largest logit; NaN if any is NaN; minus infinity for an empty row.
float MaxLogit(std::span<const float> logits);

// The token of the largest logit; of several, the lowest id. `max` is MaxLogit's result and must
// not be NaN.
int32_t IndexOf(std::span<const float> logits, float max);

// exp(x) for x <= 0 with a relative error below 3e-7, and 0 below -87.
float ExpOfNonPositive(float x);

// Replaces each value x <= 0 by exp(x), several at once. The error is that of ExpOfNonPositive.
void ExpAll(std::span<float> values);

// The sum of exp(logit - max), in double. `max` is the row's maximum and must be finite.
double SumOfExp(std::span<const float> logits, float max);

// Returns the log-probability of `token_id`. Fills `top` with those of the `num_top` likeliest
// tokens, likeliest first, the lower id first on a tie. `logits` (vocab) are the model's own; their
// maximum must be finite. Allocates nothing once `top` has held num_top entries.
float ComputeLogprobs(std::span<const float> logits, int32_t token_id, int64_t num_top,
                      std::vector<TokenLogprob>& top);

}  // namespace dray::sampling
