#include "sampling/beams/beam_draws.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "sampling/logits.h"
#include "sampling/philox.h"

namespace dray::sampling {
namespace {

constexpr float kMasked = -std::numeric_limits<float>::infinity();

// Adds masked tokens, in the order of their ids, until the row has `least` continuations.
void AddMasked(std::span<const float> logprobs, size_t least, BeamRow& row) {
  auto& continuations = row.continuations;
  const auto by_id = [](const Continuation& a, const Continuation& b) {
    return a.token_id < b.token_id;
  };
  for (int32_t id = 0; continuations.size() < least; ++id) {
    const Continuation masked = {
        .token_id = id, .score = kMasked, .logprob = logprobs[static_cast<size_t>(id)]};
    const auto place = std::lower_bound(continuations.begin(), continuations.end(), masked, by_id);
    if (place != continuations.end() && place->token_id == id) continue;
    continuations.insert(place, masked);
  }
}

}  // namespace

float GumbelNoise(const DrawPlace& place, int32_t token_id) {
  // The last word of the counter tells these draws from those of UniformDraw.
  const auto bits =
      Philox({static_cast<uint32_t>(place.position), static_cast<uint32_t>(token_id),
              static_cast<uint32_t>(place.beam), 1},
             {static_cast<uint32_t>(place.seed), static_cast<uint32_t>(place.seed >> 32)});
  const uint64_t word = uint64_t{bits[1]} << 32 | bits[0];
  // The middle of one of 2^52 equal parts of (0, 1), so never 0 or 1.
  const double uniform = (static_cast<double>(word >> 12) + 0.5) * 0x1p-52;
  return static_cast<float>(-std::log(-std::log(uniform)));
}

void FillDrawnRow(const DrawnRow& drawn, SamplingWorkspace& workspace, BeamRow& row) {
  row.continuations.clear();
  const float max = MaxLogit(drawn.scores);
  if (max != kMasked) {
    SelectCandidates(drawn.params, max, drawn.scores, workspace, drawn.least);
    const float base = max / static_cast<float>(drawn.params.temperature);
    for (const Candidate& candidate : workspace.candidates()) {
      const int32_t id = candidate.token_id;
      row.continuations.push_back({.token_id = id,
                                   .score = candidate.logit + base,
                                   .logprob = drawn.logprobs[static_cast<size_t>(id)],
                                   .noise = GumbelNoise(drawn.place, id)});
    }
  }
  AddMasked(drawn.logprobs, drawn.least, row);
}

}  // namespace dray::sampling
