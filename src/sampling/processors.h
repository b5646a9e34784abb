// Changes to logits that depend on the sequence's tokens: bias, penalties, bad words, the minimum
// length. They come before temperature and cuts (candidates.h), and apply to greedy choice too.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "sampling/params.h"
#include "sampling/token_result.h"

namespace dray::sampling {

// What the parameters of one sequence need to know about its tokens so far.
class TokenHistory {
 public:
  // `params` must outlive the history.
  TokenHistory(const SamplingParams& params, std::span<const int32_t> prompt);

  // Records a generated token. Allocates only when the penalties count more different tokens than
  // fit into the memory reserved so far.
  void Append(int32_t token_id);
  int64_t num_generated() const { return num_generated_; }

  // A token that occurred, and how often it was generated (0: only in the prompt).
  struct Occurrence {
    int32_t token_id = 0;
    int32_t num_generated = 0;
  };
  // By ascending id. Empty if no penalty is set; holds prompt tokens only for repetition_penalty.
  std::span<const Occurrence> occurrences() const { return occurrences_; }
  // The last tokens of prompt and output: one less than the longest bad word has.
  std::span<const int32_t> tail() const { return tail_; }
  // All tokens of prompt and output. Empty unless no_repeat_ngram_size is set.
  std::span<const int32_t> tokens() const { return tokens_; }
  int64_t num_prompt_tokens() const { return num_prompt_tokens_; }

 private:
  void Count(int32_t token_id);

  bool keeps_tokens_;
  bool counts_prompt_;
  bool counts_generated_;
  size_t tail_size_ = 0;
  int64_t num_prompt_tokens_ = 0;
  int64_t num_generated_ = 0;
  std::vector<int32_t> tokens_;
  std::vector<Occurrence> occurrences_;
  std::vector<int32_t> tail_;
};

// The tokens that end an answer, and why each does.
class EndTokens {
 public:
  // The model's own, `eos_token_ids`, unless params.ignore_eos is set, then params.stop_token_ids.
  EndTokens(const SamplingParams& params, std::span<const int32_t> eos_token_ids);

  std::span<const int32_t> ids() const { return ids_; }
  // Nothing if the token ends no answer. A token that is one of the model's own and a stop token is the model's own.
  std::optional<FinishReason> ReasonOf(int32_t token_id) const;

 private:
  std::vector<int32_t> ids_;
  size_t num_eos_ = 0;
};

// Applies, in this order: logit_bias, repetition_penalty, frequency_penalty and presence_penalty,
// no_repeat_ngram_size, bad_words, while fewer than min_new_tokens are generated the masks of
// `end_tokens`, forced_bos_token_id, forced_eos_token_id, suppress_tokens and begin_suppress_tokens.
// `logits` is (vocab). Hugging Face transformers applies those steps that it has in the same order.
void ProcessLogits(const SamplingParams& params, const TokenHistory& history,
                   std::span<const int32_t> end_tokens, std::span<float> logits);

}  // namespace dray::sampling
