// Beam search from logits: makes the rows that BeamSearch takes, and keeps what the parameters need
// to know about each beam's tokens.
//
// As in transformers, the parameters that change logits (processors.h) are applied to
// log-probabilities here, and the search adds up the results without normalising them again.
//
// With sampling, temperature and cuts are applied, too, and the step's candidates are drawn
// (beam_draws.h). The request must have a seed then.
//
// Groups of beams differ because a token is less likely in a group if earlier groups have chosen it
// in the same step (diversity_penalty). So the logits of a step are kept until all of them are there,
// and are then processed group by group.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/status.h"
#include "sampling/beams/beam_search.h"
#include "sampling/beams/top_scores.h"
#include "sampling/candidates.h"
#include "sampling/params.h"
#include "sampling/processors.h"
#include "sampling/token_result.h"

namespace dray::sampling {

struct BeamSamplerSpec {
  SamplingParams params = {};                   // as Validate accepted them
  std::span<const int32_t> eos_token_ids = {};  // the model's; read only by the constructor
  std::span<const int32_t> prompt = {};         // read only by the constructor
};

class BeamSampler {
 public:
  explicit BeamSampler(const BeamSamplerSpec& spec);
  BeamSampler(const BeamSampler&) = delete;  // histories point to params_
  BeamSampler& operator=(const BeamSampler&) = delete;

  // Takes the logits (vocab) of a beam's last token, and overwrites them. Before the first step the
  // beams are one, beam 0. A row that was taken before is replaced. kInternal: the largest logit is
  // not finite.
  Status Take(int64_t beam, std::span<float> logits, SamplingWorkspace& workspace);
  // Whether each beam's logits are taken.
  bool ready() const { return num_taken_ == num_current(); }

  // Takes a step with the rows that were taken; `ready` must be true. search() has the result.
  // kInvalidArgument: the parameters mask every token.
  Status Advance();

  const BeamSearch& search() const { return *search_; }
  const SamplingParams& params() const { return params_; }
  // Why a hypothesis of the search has ended.
  FinishReason ReasonOf(const Hypothesis& hypothesis) const;

 private:
  // What is known of a beam.
  struct Beam {
    TokenHistory history;
    bool is_taken = false;
    std::vector<TokenLogprob> tops = {};
    std::vector<float> logprobs = {};  // of the model; only with several groups
  };

  // The number of different beams now.
  int64_t num_current() const { return search_->num_steps() == 0 ? 1 : params_.num_beams; }
  // Makes the row of the beam `to`, which is what the beam `from` is now. `scores` are the
  // log-probabilities `logprobs` of that beam; they are processed in place.
  void MakeRow(int64_t from, int64_t to, std::span<const float> logprobs, std::span<float> scores);
  // Makes the beam's row of a search that draws. `scores` are its log-probabilities, as are
  // workspace.model_logits; `scores` are overwritten.
  void DrawRow(int64_t beam, std::span<float> scores, SamplingWorkspace& workspace);
  // MakeRow for all beams of a group.
  void MakeRows(int64_t group);
  void PenalizeEarlierGroups(int64_t group, std::span<float> scores) const;

  SamplingParams params_;
  EndTokens end_tokens_;
  std::unique_ptr<BeamSearch> search_;
  std::vector<Beam> beams_;
  std::vector<TokenHistory> next_histories_;  // by beam
  std::vector<BeamRow> rows_;                 // by beam
  int64_t num_taken_ = 0;
  int64_t vocab_size_ = 0;
  RowFilter filter_;
  std::vector<int32_t> kept_;
  std::vector<float> scores_;
};

}  // namespace dray::sampling
