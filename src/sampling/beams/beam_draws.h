// The random choice among continuations of beams (do_sample with several beams), as transformers makes
// it: temperature and cuts change the log-probabilities that the search adds up, and a step draws its
// candidates without replacement, each as likely as its whole score says.
//
// Draws without replacement are the largest of score + noise, with noise of Gumbel's distribution for each
// continuation (Yellott 1977). So the search ranks scores with noise, and adds up scores without it.
#pragma once

#include <cstdint>
#include <span>

#include "sampling/beams/beam_ranking.h"
#include "sampling/candidates.h"
#include "sampling/params.h"

namespace dray::sampling {

// The place of a row among all draws of a request. Noise depends on nothing else.
struct DrawPlace {
  uint64_t seed = 0;
  int64_t position = 0;  // of the token among the generated ones, counted from 0
  int64_t beam = 0;
};

// Noise for the continuation of a beam by a token: -log(-log(u)), u uniform in (0, 1).
float GumbelNoise(const DrawPlace& place, int32_t token_id);

// Replaces row.continuations by those that temperature and cuts keep, at least `least` of them, with
// noise. `scores` are the processed log-probabilities; they are overwritten. `logprobs` are the
// model's own. `least` must not be above the number of scores.
struct DrawnRow {
  const SamplingParams& params;
  DrawPlace place;
  size_t least = 1;
  std::span<const float> logprobs;
  std::span<float> scores;
};
void FillDrawnRow(const DrawnRow& drawn, SamplingWorkspace& workspace, BeamRow& row);

}  // namespace dray::sampling
