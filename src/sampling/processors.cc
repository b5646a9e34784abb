#include "sampling/processors.h"

#include <algorithm>
#include <limits>

namespace dray::sampling {
namespace {

constexpr float kMasked = -std::numeric_limits<float>::infinity();

// Some checkpoints have a vocabulary larger than their output, so a prompt may hold ids that the
// row of logits lacks.
bool InRow(int32_t token_id, std::span<const float> logits) {
  return token_id >= 0 && static_cast<size_t>(token_id) < logits.size();
}

void ApplyPenalties(const SamplingParams& params, const TokenHistory& history,
                    std::span<float> logits) {
  const auto repetition = static_cast<float>(params.repetition_penalty);
  const auto frequency = static_cast<float>(params.frequency_penalty);
  const auto presence = static_cast<float>(params.presence_penalty);
  for (const TokenHistory::Occurrence& occurrence : history.occurrences()) {
    if (!InRow(occurrence.token_id, logits)) continue;
    float& logit = logits[occurrence.token_id];
    if (repetition != 1.0f) logit = logit < 0 ? logit * repetition : logit / repetition;
    if (occurrence.num_generated == 0) continue;
    logit -= frequency * static_cast<float>(occurrence.num_generated) + presence;
  }
}

// If the sequence ends with all tokens of a bad word but the last, masks that last token.
void MaskBadWords(const SamplingParams& params, const TokenHistory& history,
                  std::span<const int32_t> end_tokens, std::span<float> logits) {
  for (const std::vector<int32_t>& word : params.bad_words) {
    const size_t prefix_size = word.size() - 1;
    const std::span<const int32_t> tail = history.tail();
    if (prefix_size > tail.size() || !InRow(word.back(), logits)) continue;
    if (!std::equal(word.begin(), word.end() - 1, tail.end() - prefix_size)) continue;
    // A bad word that is only an end token is ignored: without that token the sequence could not
    // end.
    if (prefix_size == 0 &&
        std::find(end_tokens.begin(), end_tokens.end(), word.back()) != end_tokens.end()) {
      continue;
    }
    logits[word.back()] = kMasked;
  }
}

// Masks each token that has followed the last no_repeat_ngram_size - 1 tokens before.
void MaskRepeatedNgrams(const SamplingParams& params, const TokenHistory& history,
                        std::span<float> logits) {
  const std::span<const int32_t> tokens = history.tokens();
  const auto size = static_cast<size_t>(params.no_repeat_ngram_size);
  if (size == 0 || tokens.size() < size) return;
  const auto prefix = tokens.last(size - 1);
  for (size_t begin = 0; begin + size <= tokens.size(); ++begin) {
    const int32_t next = tokens[begin + size - 1];
    if (!InRow(next, logits)) continue;
    if (std::equal(prefix.begin(), prefix.end(),
                   tokens.begin() + static_cast<std::ptrdiff_t>(begin)))
      logits[next] = kMasked;
  }
}

void Mask(std::span<const int32_t> ids, std::span<float> logits) {
  for (const int32_t id : ids) {
    if (InRow(id, logits)) logits[id] = kMasked;
  }
}

// Leaves one token, with a logit of 0.
void Force(int32_t id, std::span<float> logits) {
  std::fill(logits.begin(), logits.end(), kMasked);
  if (InRow(id, logits)) logits[id] = 0;
}

void ForceTokens(const SamplingParams& params, const TokenHistory& history,
                 std::span<float> logits) {
  const int64_t num_generated = history.num_generated();
  const bool follows_one_token = history.num_prompt_tokens() + num_generated == 1;
  if (params.forced_bos_token_id && follows_one_token) Force(*params.forced_bos_token_id, logits);
  if (params.forced_eos_token_id && num_generated + 1 == params.max_new_tokens) {
    Force(*params.forced_eos_token_id, logits);
  }
  Mask(params.suppress_tokens, logits);
  // A forced first token comes before the first one that is chosen.
  const int64_t begin = params.forced_bos_token_id && history.num_prompt_tokens() == 1 ? 1 : 0;
  if (num_generated == begin) Mask(params.begin_suppress_tokens, logits);
}

}  // namespace

TokenHistory::TokenHistory(const SamplingParams& params, std::span<const int32_t> prompt)
    : keeps_tokens_(params.no_repeat_ngram_size > 0),
      counts_prompt_(params.repetition_penalty != 1.0),
      counts_generated_(counts_prompt_ || params.presence_penalty != 0 ||
                        params.frequency_penalty != 0) {
  num_prompt_tokens_ = static_cast<int64_t>(prompt.size());
  if (keeps_tokens_) {
    tokens_.reserve(prompt.size() + static_cast<size_t>(params.max_new_tokens));
    tokens_.assign(prompt.begin(), prompt.end());
  }
  if (counts_prompt_) {
    std::vector<int32_t> sorted(prompt.begin(), prompt.end());
    std::sort(sorted.begin(), sorted.end());
    sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
    for (const int32_t id : sorted) occurrences_.push_back({id, 0});
  }
  if (counts_generated_) {
    // Most sequences end before this many tokens; for longer ones the vector grows by doubling.
    constexpr int64_t kReserve = 1024;
    const auto more = static_cast<size_t>(std::min(params.max_new_tokens, kReserve));
    occurrences_.reserve(occurrences_.size() + more);
  }
  for (const std::vector<int32_t>& word : params.bad_words) {
    tail_size_ = std::max(tail_size_, word.size() - 1);
  }
  tail_.reserve(tail_size_ + 1);
  const size_t kept = std::min(tail_size_, prompt.size());
  tail_.assign(prompt.end() - static_cast<std::ptrdiff_t>(kept), prompt.end());
}

void TokenHistory::Append(int32_t token_id) {
  ++num_generated_;
  if (keeps_tokens_) tokens_.push_back(token_id);
  if (counts_generated_) Count(token_id);
  if (tail_size_ == 0) return;
  if (tail_.size() == tail_size_) tail_.erase(tail_.begin());
  tail_.push_back(token_id);
}

void TokenHistory::Count(int32_t token_id) {
  const auto place =
      std::lower_bound(occurrences_.begin(), occurrences_.end(), token_id,
                       [](const Occurrence& o, int32_t id) { return o.token_id < id; });
  if (place != occurrences_.end() && place->token_id == token_id) {
    ++place->num_generated;
  } else {
    occurrences_.insert(place, {token_id, 1});
  }
}

EndTokens::EndTokens(const SamplingParams& params, std::span<const int32_t> eos_token_ids) {
  if (!params.ignore_eos) ids_.assign(eos_token_ids.begin(), eos_token_ids.end());
  num_eos_ = ids_.size();
  ids_.insert(ids_.end(), params.stop_token_ids.begin(), params.stop_token_ids.end());
}

std::optional<FinishReason> EndTokens::ReasonOf(int32_t token_id) const {
  const auto found = std::find(ids_.begin(), ids_.end(), token_id);
  if (found == ids_.end()) return std::nullopt;
  const bool is_eos = static_cast<size_t>(found - ids_.begin()) < num_eos_;
  return is_eos ? FinishReason::kEosToken : FinishReason::kStopToken;
}

void ProcessLogits(const SamplingParams& params, const TokenHistory& history,
                   std::span<const int32_t> end_tokens, std::span<float> logits) {
  for (const LogitBias& entry : params.logit_bias) {
    if (InRow(entry.token_id, logits)) logits[entry.token_id] += static_cast<float>(entry.bias);
  }
  ApplyPenalties(params, history, logits);
  MaskRepeatedNgrams(params, history, logits);
  MaskBadWords(params, history, end_tokens, logits);
  if (history.num_generated() < params.min_new_tokens) Mask(end_tokens, logits);
  ForceTokens(params, history, logits);
}

}  // namespace dray::sampling
