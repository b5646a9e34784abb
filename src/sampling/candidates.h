// The tokens that sampling may choose from: temperature and the cuts (top-k, top-p, min-p,
// typical-p), in the order of Hugging Face transformers, without sorting the vocabulary.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sampling/logits.h"
#include "sampling/params.h"

namespace dray::sampling {

struct Candidate {
  int32_t token_id = 0;
  float logit = 0;   // the largest is 0
  float weight = 0;  // exp(logit): proportional to the token's probability
};

// Memory for choosing one token. One workspace serves many sequences, one after the other. It grows
// to the vocabulary's size on first use and allocates nothing after that.
class SamplingWorkspace {
 public:
  // The candidates that SelectCandidates kept, by ascending token id.
  std::span<const Candidate> candidates() const {
    return std::span(candidate_buffer).first(num_candidates);
  }

  // The rest is for the functions of this folder. Each buffer has room for the vocabulary, and a
  // count says how many entries are in use. So a filter can copy every entry and add to the count
  // only for those that it keeps, without a branch; the processor would mispredict that branch half
  // of the time.
  struct Ranked {
    float key = 0;
    int32_t token_id = 0;
    float weight = 0;
  };
  void Grow(size_t vocab);

  std::vector<Candidate> candidate_buffer;
  size_t num_candidates = 0;
  std::vector<Ranked> ranked_buffer;  // a cut orders these by key and sums up their weights
  std::vector<float> values;
  std::vector<float> model_logits;
  std::vector<TokenLogprob> top;
};

// Divides `logits` (vocab) by the temperature, in place, and fills workspace.candidates() from
// them. `max` is their maximum and must be finite. Masked tokens (minus infinity) are not
// candidates. At least one token remains. If several tokens are as likely as the last one that a
// cut keeps, top-k and typical-p keep all of them, top-p those of lower id. Each cut keeps `least`
// candidates or more, if there are so many.
void SelectCandidates(const SamplingParams& params, float max, std::span<float> logits,
                      SamplingWorkspace& workspace, size_t least = 1);

// Lays the candidates side by side on [0, 1) by ascending id, each as wide as its share of the
// weight, and returns the token on which `uniform`, a draw from [0, 1), falls.
int32_t PickCandidate(std::span<const Candidate> candidates, double uniform);

}  // namespace dray::sampling
