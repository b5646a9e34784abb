// Beam search of one group as transformers 5 does it (GenerationMixin._beam_search): a fixed number of
// places for finished hypotheses, chosen again in every step.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sampling/beams/beam_search.h"

namespace dray::sampling {

class PlainBeamSearch final : public BeamSearch {
 public:
  explicit PlainBeamSearch(const BeamSearchSpec& spec);

  bool Advance(int64_t group, std::span<const BeamRow> rows, int64_t vocab_size) override;
  std::vector<Hypothesis> Best(int64_t count) const override;

 private:
  // A place for a finished hypothesis.
  struct Place {
    float score = 0;
    bool finished = false;
    int32_t node = TokenTree::kRoot;
  };

  void ChooseBeams(std::span<const BeamRow> rows);
  void ChooseFinished(std::span<const BeamRow> rows);
  void DecideEnd();
  bool AllFinished() const;
  // Whether the candidate ends a hypothesis: by its token, or because the length is reached.
  bool Ends(const BeamCandidate& candidate) const;
  // Divides by length^length_penalty.
  float Penalize(float score, int64_t length) const;

  std::vector<float> beam_scores_;
  std::vector<int32_t> beam_nodes_;
  std::vector<Place> places_;
  bool can_improve_ = true;

  std::span<const BeamCandidate> candidates_;  // of the step
  // Used again from step to step.
  std::vector<RankedScore> ranked_;
  std::vector<int32_t> next_nodes_;
  std::vector<float> next_scores_;
  std::vector<Place> next_places_;
};

}  // namespace dray::sampling
