// Plain passes over one row of logits: the maximum, and log-probabilities.
//
// Log-probabilities that dray reports are the model's own: the log-softmax of its logits before
// penalties, temperature and cuts. So they do not depend on how tokens are chosen, agree between
// the prompt and the generated text, and can be compared between requests.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace dray::sampling {

struct TokenLogprob {
  int32_t token_id = 0;
  float logprob = 0;
};

// The largest logit; NaN if any is NaN; minus infinity for an empty row.
float MaxLogit(std::span<const float> logits);

// The token of the largest logit, the lowest id on a tie; `max` as MaxLogit gave it, and not NaN.
int32_t IndexOf(std::span<const float> logits, float max);

// exp(x) for x <= 0 with a relative error below 3e-7, and 0 below -87.
float ExpOfNonPositive(float x);

// The same for each value in place, several at once.
void ExpAll(std::span<float> values);

// The sum of exp(logit - max), in double; `max` finite.
double SumOfExp(std::span<const float> logits, float max);

// The log-probability of `token_id`, and in `top` those of the `num_top` likeliest tokens,
// likeliest first, the lower id on a tie. Neither allocates once `top` has held num_top entries.
// `logits` (vocab) are the model's, their maximum finite.
float ComputeLogprobs(std::span<const float> logits, int32_t token_id, int64_t num_top,
                      std::vector<TokenLogprob>& top);

}  // namespace dray::sampling
