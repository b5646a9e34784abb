// Beam search: which continuations of a prompt are followed, and which finished ones are the best.
// A pure state machine over scores and token ids, with Hugging Face's meaning of every parameter, its
// order of float operations, and its choice among equal scores.
//
// A beam is one continuation that is followed. Its score is the sum of its tokens' scores. The beams
// are divided into groups of equal size, of which most searches have one. Each step takes the best
// (1 + number of end tokens) * group_size continuations of all beams of a group by one token, at
// least 2 * group_size. The best group_size of those that do not end are the group's next beams.
// Those that end and are among the first group_size are finished hypotheses, which compete for the
// group's places by score / length^length_penalty.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "sampling/beams/beam_ranking.h"
#include "sampling/beams/token_tree.h"
#include "sampling/params.h"
#include "sampling/token_result.h"

namespace dray::sampling {

struct BeamSearchSpec {
  int64_t num_beams = 1;
  int64_t num_groups = 1;  // divides num_beams
  double length_penalty = 1;
  EarlyStopping early_stopping = EarlyStopping::kNo;
  int64_t max_new_tokens = 1;
  // Tokens that finish a hypothesis.
  std::vector<int32_t> end_tokens = {};
  // The token that the beams of a group get once the group is done.
  int32_t pad_token = 0;
  BeamRules rules = BeamRules::kTransformers;
  // FasterTransformer's rules count this many tokens of the prompt in a hypothesis's length.
  int64_t num_prompt_tokens = 0;
  // Added to the score of a beam's k-th best continuation, k times. From FasterTransformer.
  double sibling_rate = 0;
  // Rows have noise, so that the candidates of a step are drawn at random. Only with transformers' rules,
  // one group and no sibling_rate.
  bool draws = false;
};

// A finished continuation of the prompt.
struct Hypothesis {
  float score = 0;  // transformers' sequences_scores
  // Points into the search. The last one is the end token, if the hypothesis has one; transformers'
  // group search shows its first end token there, whichever it was.
  std::vector<TokenTree::Token> tokens;
};

class BeamSearch {
 public:
  virtual ~BeamSearch() = default;

  int64_t num_beams() const { return spec_.num_beams; }
  int64_t num_groups() const { return spec_.num_groups; }
  int64_t group_size() const { return spec_.num_beams / spec_.num_groups; }
  // How many continuations of a group's beams each step looks at, and whether it must see all of
  // them: BeamRanking.
  const BeamRanking& ranking() const { return ranking_; }

  // Takes one step of a group. The groups of a step come in their order. `rows` has one row for each
  // beam of the group; in the first step it has only one, because all beams are the prompt. False if
  // too few tokens of the rows are allowed, so that the search cannot go on.
  virtual bool Advance(int64_t group, std::span<const BeamRow> rows, int64_t vocab_size) = 0;

  // [beam]: the beam of the step before that it continues, and the new token. Within a step, only
  // the beams of groups that have advanced are valid.
  struct Move {
    int32_t parent = 0;
    int32_t token_id = 0;
  };
  std::span<const Move> moves() const { return moves_; }
  // No step can change the result any more, or the length is reached.
  bool done() const { return done_; }
  // Of all groups.
  int64_t num_steps() const { return num_steps_; }

  // The best `count` hypotheses (at most num_beams), best first. Call this when the search is done.
  virtual std::vector<Hypothesis> Best(int64_t count) const = 0;

 protected:
  explicit BeamSearch(BeamSearchSpec spec);

  // Adds what the candidate appends to the beam of `node`.
  int32_t AddNode(const BeamCandidate& candidate, int32_t node, std::span<const BeamRow> rows);

  BeamSearchSpec spec_;
  BeamRanking ranking_;
  TokenTree tree_;
  std::vector<Move> moves_;
  bool done_ = false;
  int64_t num_steps_ = 0;
};

// Returns the search whose rules `spec` names: transformers 5's for one group, and those of
// group_beam_search.h for several groups and for FasterTransformer.
std::unique_ptr<BeamSearch> MakeBeamSearch(const BeamSearchSpec& spec);

}  // namespace dray::sampling
