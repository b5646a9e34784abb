// Beam search of several groups as transformers 4 does it (GenerationMixin._group_beam_search and
// BeamSearchScorer), and beam search with FasterTransformer's rules, which are those of one such group
// but for the length of a hypothesis and the scores of siblings.
//
// Each group is done for itself, once its pool of finished hypotheses cannot become better. At the end,
// the beams of groups that are not done are hypotheses too.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sampling/beams/beam_search.h"
#include "sampling/beams/hypothesis_pool.h"

namespace dray::sampling {

class GroupBeamSearch final : public BeamSearch {
 public:
  explicit GroupBeamSearch(const BeamSearchSpec& spec);

  bool Advance(int64_t group, std::span<const BeamRow> rows, int64_t vocab_size) override;
  std::vector<Hypothesis> Best(int64_t count) const override;

 private:
  struct Group {
    std::vector<float> scores;   // of its beams
    std::vector<int32_t> nodes;  // of its beams
    HypothesisPool finished;
    bool done = false;
  };

  // Chooses the group's next beams and fills its part of moves_; false if there are too few.
  bool Extend(Group& group, std::span<const BeamRow> rows, int64_t vocab_size,
              std::span<Move> moves);
  // Whether no continuation can be better than the finished hypotheses. `best` is the score of the
  // best candidate of the step.
  bool IsDone(const Group& group, float best) const;
  // The score of a hypothesis of `length` new tokens.
  double ScoreOf(float sum, int64_t length) const;

  std::vector<Group> groups_;
  // Used again from step to step.
  std::vector<int32_t> next_nodes_;
  std::vector<float> next_scores_;
};

}  // namespace dray::sampling
