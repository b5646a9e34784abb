// Turns the logits of a sequence's last token into its next token, and says why a sequence ends.
//
// A sampler serves one sequence. Its choice depends only on the parameters, the seed, the
// sequence's tokens and the logits, not on other sequences in the batch, on preemption or on
// timing.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/status.h"
#include "sampling/candidates.h"
#include "sampling/params.h"
#include "sampling/processors.h"
#include "sampling/token_result.h"

namespace dray::sampling {

struct SamplerSpec {
  SamplingParams params = {};                   // as Validate accepted them
  std::span<const int32_t> eos_token_ids = {};  // the model's; read only by the constructor
  std::span<const int32_t> prompt = {};         // read only by the constructor
  uint64_t seed = 0;                            // params.seed, or the one that the caller picked
  uint32_t sample_index = 0;  // in [0, n): each sample of a request draws its own numbers
};

struct SampledToken {
  int32_t token_id = 0;
  // Set if num_logprobs is: the token's log-probability, and those of the likeliest tokens (see
  // logits.h). `top` points into the workspace and is valid until its next use.
  std::optional<float> logprob;
  std::span<const TokenLogprob> top;
};

class Sampler {
 public:
  explicit Sampler(const SamplerSpec& spec);

  // Chooses the next token; does not record it. Overwrites `logits` (vocab) and uses `workspace`.
  // kInternal: the largest logit is not finite. kInvalidArgument: the parameters (bad_words,
  // min_new_tokens) mask every token.
  Result<SampledToken> Choose(std::span<float> logits, SamplingWorkspace& workspace) const;

  // Predicts what Choose will return `num_ahead` tokens later. `logits` are a guess at the logits
  // of that place; they are overwritten. Uses the random draw of that place, but knows the history
  // only up to now. None if the logits allow no choice.
  std::optional<int32_t> Guess(std::span<float> logits, int64_t num_ahead,
                               SamplingWorkspace& workspace) const;

  // Records the sequence's next token, chosen here or elsewhere. If it is the last one, says why.
  std::optional<FinishReason> Append(int32_t token_id);

  const SamplingParams& params() const { return params_; }
  int64_t num_generated() const { return history_.num_generated(); }

  Sampler(const Sampler&) = delete;  // history_ points to params_
  Sampler& operator=(const Sampler&) = delete;

 private:
  // Chooses among processed logits, whose maximum is finite, for the token at `position`.
  int32_t Pick(std::span<float> logits, float max, int64_t position,
               SamplingWorkspace& workspace) const;

  SamplingParams params_;
  uint64_t seed_;
  uint32_t sample_index_;
  EndTokens end_tokens_;
  TokenHistory history_;
};

}  // namespace dray::sampling
