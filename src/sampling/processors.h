// Changes to logits that depend on what the sequence holds already: bias, penalties, bad
// words, the minimum length. They come before temperature and cuts (candidates.h), and apply
// to greedy choice too.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sampling/params.h"

namespace dray::sampling {

// The tokens of one sequence, as far as its parameters look back at them.
class TokenHistory {
 public:
  // `params` must outlive the history.
  TokenHistory(const SamplingParams& params, std::span<const int32_t> prompt);

  // Records a generated token. Allocates nothing unless a penalty counts more tokens than
  // was ever so.
  void Append(int32_t token_id);
  int64_t num_generated() const { return num_generated_; }

  // A token that occurred, and how often among the generated ones.
  struct Occurrence {
    int32_t token_id = 0;
    int32_t num_generated = 0;
  };
  // By ascending id. Filled only as far as penalties need it.
  std::span<const Occurrence> occurrences() const { return occurrences_; }
  // The last tokens, prompt included, as many as the longest bad word has but one.
  std::span<const int32_t> tail() const { return tail_; }

 private:
  void Count(int32_t token_id);

  bool counts_prompt_;
  bool counts_generated_;
  size_t tail_size_ = 0;
  int64_t num_generated_ = 0;
  std::vector<Occurrence> occurrences_;
  std::vector<int32_t> tail_;
};

// Applies, in this order, `params`' logit_bias, repetition_penalty, frequency_penalty and
// presence_penalty, bad_words, and the masks of `end_tokens` while fewer than min_new_tokens
// are generated. `logits` is (vocab). The order of those that Hugging Face transformers has is
// the same there.
void ProcessLogits(const SamplingParams& params, const TokenHistory& history,
                   std::span<const int32_t> end_tokens, std::span<float> logits);

}  // namespace dray::sampling
