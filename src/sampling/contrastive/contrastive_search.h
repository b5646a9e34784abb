// Contrastive search: the next token is the one of the top_k likeliest that is likely and whose state
// differs most from the states of all tokens before. A state is what the model's head multiplies.
//
// A pure state machine over logits and states, with the meaning and the arithmetic of transformers 4
// (GenerationMixin._contrastive_search), the last release that had it. Each step computes the
// candidates, each as if it were the next token; then
//   score = (1 - penalty_alpha) * probability - penalty_alpha * (largest cosine to a state before),
// and of equal scores the likelier candidate is chosen. The logits behind the chosen candidate give
// the next candidates.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/status.h"
#include "sampling/beams/top_scores.h"
#include "sampling/params.h"
#include "sampling/processors.h"
#include "sampling/token_result.h"

namespace dray::sampling {

struct ContrastiveSpec {
  SamplingParams params = {};                   // as Validate accepted them
  std::span<const int32_t> eos_token_ids = {};  // the model's; read only by the constructor
  std::span<const int32_t> prompt = {};         // read only by the constructor
};

class ContrastiveSearch {
 public:
  explicit ContrastiveSearch(const ContrastiveSpec& spec);
  ContrastiveSearch(const ContrastiveSearch&) = delete;  // history_ points to params_
  ContrastiveSearch& operator=(const ContrastiveSearch&) = delete;

  // Takes the state of the prompt's next token. All but the last one come so.
  void TakeContext(std::span<const float> state);
  // The number of tokens whose states are known.
  int64_t num_context() const { return num_context_; }

  // Takes the logits (vocab) and the state of a candidate, or, before the first step, those of the
  // prompt's last token as candidate 0. What was taken before is replaced. kInternal: the largest
  // logit is not finite.
  Status Take(int64_t candidate, std::span<const float> logits, std::span<const float> state);
  // Whether each candidate's logits are taken.
  bool ready() const { return num_taken_ == num_candidates(); }

  // Chooses a candidate, unless this is the first step, and finds the next ones; `ready` must be true.
  // kInvalidArgument: the parameters mask every token.
  Status Advance();

  // A token that may be the next one.
  struct Candidate {
    TokenLogprob token;
    float probability = 0;
  };
  // What the last Advance has chosen: nothing in the first step.
  struct Choice {
    int64_t candidate = 0;
    TokenLogprob token;
    std::span<const TokenLogprob> tops;  // the model's likeliest tokens in its place
    std::optional<FinishReason> end;     // if it is the last token
  };
  const std::optional<Choice>& choice() const { return choice_; }
  // The candidates that are to be computed: [i] is candidate i of Take.
  std::span<const Candidate> candidates() const { return candidates_; }

  const SamplingParams& params() const { return params_; }

 private:
  // What was taken of a candidate.
  struct Taken {
    bool is_taken = false;
    std::vector<float> logits;
    std::vector<float> state;  // of length 1
  };

  int64_t num_candidates() const {
    return candidates_.empty() ? 1 : static_cast<int64_t>(candidates_.size());
  }
  int64_t Best() const;
  // The largest cosine of the candidate's state to a state of the context.
  float Similarity(const Taken& candidate) const;
  std::optional<FinishReason> ReasonToEnd(int32_t token_id) const;
  // Fills candidates_ with the likeliest tokens of a row.
  Status FindCandidates(std::span<float> logits);

  SamplingParams params_;
  size_t num_candidates_wanted_;
  EndTokens end_tokens_;
  TokenHistory history_;
  std::vector<float> context_;  // [num_context_, state size]: states of length 1
  int64_t num_context_ = 0;
  std::vector<Candidate> candidates_;
  std::vector<Taken> taken_;
  int64_t num_taken_ = 0;
  std::optional<Choice> choice_;
  std::vector<TokenLogprob> tops_, chosen_tops_;
  // Used again from step to step.
  std::vector<float> model_logits_;
  std::vector<RankedScore> ranked_;
};

}  // namespace dray::sampling
