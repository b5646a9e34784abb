// The best continuations of the beams of one group, in transformers' order.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "sampling/beams/top_scores.h"
#include "sampling/token_result.h"

namespace dray::sampling {

// transformers' score of what must not be chosen.
inline constexpr float kExcludedScore = -1.0e9F;

// A token that may follow a beam.
struct Continuation {
  int32_t token_id = 0;
  float score = 0;    // the processed log-probability, which the search adds up
  float logprob = 0;  // the model's own; only reported
  float noise = 0;    // of a random choice (beam_draws.h): ranked by, but not added up
};

// What may follow one beam.
struct BeamRow {
  // In ascending order of the token ids. All tokens, or those that RowFilter keeps for
  // BeamRanking::num_candidates (if NeedsWholeRows is false). Of a search that draws, those that
  // FillDrawnRow keeps.
  std::vector<Continuation> continuations;
  // The model's likeliest tokens at this place, if asked for; only reported.
  std::vector<TokenLogprob> tops;
};

// The row of a beam. One row alone is that of all beams.
inline const BeamRow& RowOfBeam(std::span<const BeamRow> rows, int32_t beam) {
  return rows[rows.size() == 1 ? 0 : static_cast<size_t>(beam)];
}

// A continuation that a step looks at.
struct BeamCandidate {
  int32_t beam = 0;  // of the group
  const Continuation* continuation = nullptr;
  float score = 0;  // of all tokens
  bool ends = false;
};

class BeamRanking {
 public:
  struct Spec {
    int64_t num_beams = 1;  // of the group
    std::vector<int32_t> end_tokens;
    float sibling_rate = 0;  // BeamSearchSpec::sibling_rate
    bool draws = false;      // BeamSearchSpec::draws
  };
  explicit BeamRanking(Spec spec) : spec_(std::move(spec)) {}

  // How many candidates a step has for each beam, for rows of `vocab_size` tokens.
  int64_t num_candidates_of_beam(int64_t vocab_size) const;
  // The same of all beams.
  int64_t num_candidates(int64_t vocab_size) const {
    return num_candidates_of_beam(vocab_size) * spec_.num_beams;
  }
  // Whether rows must have all tokens, so that equal scores are ordered as transformers orders them.
  bool NeedsWholeRows(int64_t vocab_size) const;

  // Returns the candidates, best first, or in the order in which they are drawn; `beam_scores` has the
  // score of each beam. Nothing if every token of every row is masked. Valid until the next call.
  std::span<const BeamCandidate> Rank(std::span<const BeamRow> rows,
                                      std::span<const float> beam_scores, int64_t vocab_size);

 private:
  void Gather(const BeamRow& row, int32_t beam, float beam_score);
  // Gather for a sibling_rate other than 0.
  void GatherSiblings(const BeamRow& row, int32_t beam, float beam_score, int64_t vocab_size);
  bool IsEnd(int32_t token_id) const;

  Spec spec_;
  // Used again from step to step.
  std::vector<BeamCandidate> gathered_, candidates_;
  std::vector<RankedScore> ranked_, siblings_;
};

}  // namespace dray::sampling
