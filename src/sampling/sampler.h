// From the logits of a sequence's last token to its next token, and to the reason why
// the sequence ends.
//
// A sampler sees one sequence. Its choice is a function of the parameters, the seed, the sequence's
// tokens and the logits; other sequences in the batch, preemption and timing have no part in it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/status.h"
#include "sampling/candidates.h"
#include "sampling/params.h"
#include "sampling/processors.h"

namespace dray::sampling {

struct SamplerSpec {
  SamplingParams params = {};                   // as Validate accepted them
  std::span<const int32_t> eos_token_ids = {};  // the model's; read only by the constructor
  std::span<const int32_t> prompt = {};         // read only by the constructor
  uint64_t seed = 0;                            // params.seed, or the one that the caller picked
  uint32_t sample_index = 0;  // 0 to n - 1: each sample of a request draws its own numbers
};

struct SampledToken {
  int32_t token_id = 0;
  // With num_logprobs: the token's, and those of the likeliest tokens (see logits.h). `top` lies in
  // the workspace until its next use.
  std::optional<float> logprob;
  std::span<const TokenLogprob> top;
};

enum class FinishReason {
  kNone,       // goes on
  kEosToken,   // an end token of the model
  kStopToken,  // one of stop_token_ids
  kLength,     // max_new_tokens
};

class Sampler {
 public:
  explicit Sampler(const SamplerSpec& spec);

  // Chooses the next token; does not record it. Works in `logits` (vocab) itself, and in
  // `workspace`. kInternal: the logits' maximum is not a finite number. kInvalidArgument: bad_words
  // and the like leave no token.
  Result<SampledToken> Choose(std::span<float> logits, SamplingWorkspace& workspace) const;

  // What Choose would choose `num_ahead` tokens later, as far as that can be told from a guess at
  // those `logits`: with the draw for that place, but a history that ends here. None if the logits
  // allow no choice. Works in `logits` itself.
  std::optional<int32_t> Guess(std::span<float> logits, int64_t num_ahead,
                               SamplingWorkspace& workspace) const;

  // Records the sequence's next token, chosen here or elsewhere; says whether it is the last.
  FinishReason Append(int32_t token_id);

  const SamplingParams& params() const { return params_; }
  int64_t num_generated() const { return history_.num_generated(); }

  Sampler(const Sampler&) = delete;  // the history refers to the parameters
  Sampler& operator=(const Sampler&) = delete;

 private:
  // The choice among processed logits of a finite maximum, for the token at `position`.
  int32_t Pick(std::span<float> logits, float max, int64_t position,
               SamplingWorkspace& workspace) const;

  SamplingParams params_;
  uint64_t seed_;
  uint32_t sample_index_;
  std::vector<int32_t> end_tokens_;  // model's first, unless ignored, then the request's
  size_t num_eos_ = 0;
  TokenHistory history_;
};

}  // namespace dray::sampling
