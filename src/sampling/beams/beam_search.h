// Beam search: which continuations of a prompt are followed, and which finished ones are the best.
// A pure state machine over scores and token ids, with Hugging Face's meaning of every parameter
// (transformers 5, GenerationMixin._beam_search), its order of float operations, and its choice
// among equal scores.
//
// A beam is one continuation that is followed. Its score is the sum of its tokens' scores. Each step
// takes the best (1 + number of end tokens) * num_beams continuations of all beams by one token, at
// least 2 * num_beams. The best num_beams of those that do not end are the next beams. Those that end
// and are among the first num_beams compete for the num_beams places of finished hypotheses, by
// score / length^length_penalty.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "sampling/beams/top_scores.h"
#include "sampling/params.h"
#include "sampling/token_result.h"

namespace dray::sampling {

struct BeamSearchSpec {
  int64_t num_beams = 1;
  double length_penalty = 1;
  EarlyStopping early_stopping = EarlyStopping::kNo;
  int64_t max_new_tokens = 1;
  // Tokens that finish a hypothesis.
  std::vector<int32_t> end_tokens;
};

// A token that may follow a beam.
struct Continuation {
  int32_t token_id = 0;
  float score = 0;    // the processed log-probability, which the search adds up
  float logprob = 0;  // the model's own; only reported
};

// What may follow one beam.
struct BeamRow {
  // In ascending order of the token ids. All tokens, or those that RowFilter keeps for
  // BeamSearch::num_candidates (if NeedsWholeRows is false).
  std::vector<Continuation> continuations;
  // The model's likeliest tokens at this place, if asked for; only reported.
  std::vector<TokenLogprob> tops;
};

// A finished continuation of the prompt.
struct Hypothesis {
  struct Token {
    TokenLogprob token;
    std::span<const TokenLogprob> tops;  // points into the search
  };
  float score = 0;  // transformers' sequences_scores
  std::vector<Token> tokens;
};

class BeamSearch {
 public:
  explicit BeamSearch(BeamSearchSpec spec);

  // How many continuations of all beams each step looks at, for rows of `vocab_size` tokens.
  int64_t num_candidates(int64_t vocab_size) const;
  bool NeedsWholeRows(int64_t vocab_size) const;

  // Takes one step. `rows` has one row for each beam; in the first step it has only one, because
  // all beams are the prompt. False, with nothing changed, if every token of every row is masked.
  bool Advance(std::span<const BeamRow> rows, int64_t vocab_size);

  // [beam]: the beam of the step before that it continues, and the new token.
  struct Move {
    int32_t parent = 0;
    int32_t token_id = 0;
  };
  std::span<const Move> moves() const { return moves_; }
  // No step can change the result any more, or the length is reached.
  bool done() const { return done_; }
  int64_t num_steps() const { return num_steps_; }

  // The best `count` hypotheses (at most num_beams), best first. Call this when the search is done.
  std::vector<Hypothesis> Best(int64_t count) const;

 private:
  // A token of a continuation. Continuations with the same beginning share its nodes.
  struct Node {
    int32_t parent = -1;
    TokenLogprob token;
    std::vector<TokenLogprob> tops;
  };
  // One of the continuations that a step looks at.
  struct Candidate {
    int32_t beam = 0;
    const Continuation* continuation = nullptr;
    float score = 0;
    bool ends = false;
  };
  // A place for a finished hypothesis.
  struct Place {
    float score = 0;
    bool finished = false;
    int32_t node = -1;
  };

  bool TakeCandidates(std::span<const BeamRow> rows, int64_t vocab_size);
  void ChooseBeams(std::span<const BeamRow> rows);
  void ChooseFinished(std::span<const BeamRow> rows);
  void DecideEnd();
  int32_t AddNode(const Candidate& candidate, std::span<const BeamRow> rows);
  // Divides by length^length_penalty.
  float Penalize(float score, int64_t length) const;

  BeamSearchSpec spec_;
  std::vector<Node> nodes_;
  std::vector<float> beam_scores_;
  std::vector<int32_t> beam_nodes_;
  std::vector<Move> moves_;
  std::vector<Place> places_;
  bool can_improve_ = true;
  bool done_ = false;
  int64_t num_steps_ = 0;

  // Used again from step to step.
  std::vector<Candidate> gathered_, candidates_;
  std::vector<RankedScore> ranked_;
  std::vector<int32_t> next_nodes_;
  std::vector<float> next_scores_;
  std::vector<Place> next_places_;
};

}  // namespace dray::sampling
