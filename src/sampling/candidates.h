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
  float weight = 0;  // exp(logit): its probability but for the common factor
};

// Memory for choosing one token, to be used for one sequence after the other. It grows to the
// vocabulary's size on first use and allocates nothing after that.
class SamplingWorkspace {
 public:
  // What SelectCandidates left, by ascending token id.
  std::span<const Candidate> candidates() const {
    return std::span(candidate_buffer).first(num_candidates);
  }

  // The rest is for the functions of this folder. Buffers are of the vocabulary's size, in use up
  // to a count of their own: so what stays is moved up without branches, which would be guessed
  // wrong half of the time.
  struct Ranked {
    float key = 0;
    int32_t token_id = 0;
    float weight = 0;
  };
  void Grow(size_t vocab);

  std::vector<Candidate> candidate_buffer;
  size_t num_candidates = 0;
  std::vector<Ranked> ranked_buffer;  // what a cut compares, with the weight to be summed up
  std::vector<float> values;
  std::vector<float> model_logits;
  std::vector<TokenLogprob> top;
};

// Fills workspace.candidates() from `logits` (vocab), which are divided by the temperature in place
// and whose maximum must be finite. Masked tokens (minus infinity) are no candidates; at least one
// token remains. Where cuts meet ties, all tokens as likely as the last one that top-k or typical-p
// keep are kept; top-p keeps those of lower id.
void SelectCandidates(const SamplingParams& params, float max, std::span<float> logits,
                      SamplingWorkspace& workspace);

// The candidate that a uniform draw from [0, 1) falls on: candidates are laid side by side by
// ascending id, each as wide as its share of the weight.
int32_t PickCandidate(std::span<const Candidate> candidates, double uniform);

}  // namespace dray::sampling
