#include "sampling/contrastive/contrastive_search.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "base/check.h"
#include "sampling/logits.h"

namespace dray::sampling {
namespace {

// Appends the state, brought to length 1.
void AppendUnit(std::span<const float> state, std::vector<float>& states) {
  const float length =
      std::sqrt(std::inner_product(state.begin(), state.end(), state.begin(), 0.0F));
  for (const float value : state) states.push_back(value / length);
}

}  // namespace

ContrastiveSearch::ContrastiveSearch(const ContrastiveSpec& spec)
    : params_(spec.params),
      num_candidates_wanted_(static_cast<size_t>(NumContrastiveCandidates(params_))),
      end_tokens_(params_, spec.eos_token_ids),
      history_(params_, spec.prompt) {
  taken_.resize(num_candidates_wanted_);
}

void ContrastiveSearch::TakeContext(std::span<const float> state) {
  AppendUnit(state, context_);
  ++num_context_;
}

Status ContrastiveSearch::Take(int64_t candidate, std::span<const float> logits,
                               std::span<const float> state) {
  DRAY_CHECK(candidate >= 0 && candidate < num_candidates());
  if (!std::isfinite(MaxLogit(logits))) {
    return {StatusCode::kInternal,
            "the model's logits hold NaN or infinity; its weights or number format overflow"};
  }
  Taken& taken = taken_[static_cast<size_t>(candidate)];
  taken.logits.assign(logits.begin(), logits.end());
  taken.state.clear();
  AppendUnit(state, taken.state);
  if (!std::exchange(taken.is_taken, true)) ++num_taken_;
  return OkStatus();
}

float ContrastiveSearch::Similarity(const Taken& candidate) const {
  const auto size = static_cast<std::ptrdiff_t>(candidate.state.size());
  float largest = -std::numeric_limits<float>::infinity();
  for (auto row = context_.begin(); row != context_.end(); row += size) {
    largest = std::max(largest, std::inner_product(row, row + size, candidate.state.begin(), 0.0F));
  }
  return largest;
}

int64_t ContrastiveSearch::Best() const {
  const auto alpha = static_cast<float>(params_.penalty_alpha);
  const auto kept = static_cast<float>(1.0 - params_.penalty_alpha);
  int64_t best = 0;
  float best_score = -std::numeric_limits<float>::infinity();
  for (size_t i = 0; i < candidates_.size(); ++i) {
    const float score = kept * candidates_[i].probability - alpha * Similarity(taken_[i]);
    if (!(score > best_score)) continue;
    best_score = score;
    best = static_cast<int64_t>(i);
  }
  return best;
}

std::optional<FinishReason> ContrastiveSearch::ReasonToEnd(int32_t token_id) const {
  if (const auto reason = end_tokens_.ReasonOf(token_id)) return reason;
  if (history_.num_generated() >= params_.max_new_tokens) return FinishReason::kLength;
  return std::nullopt;
}

Status ContrastiveSearch::Advance() {
  DRAY_CHECK(ready());
  int64_t best = 0;
  choice_.reset();
  if (!candidates_.empty()) {
    best = Best();
    const TokenLogprob token = candidates_[static_cast<size_t>(best)].token;
    history_.Append(token.id);
    std::swap(tops_, chosen_tops_);
    choice_ = Choice{
        .candidate = best, .token = token, .tops = chosen_tops_, .end = ReasonToEnd(token.id)};
  }
  Taken& taken = taken_[static_cast<size_t>(best)];
  context_.insert(context_.end(), taken.state.begin(), taken.state.end());
  ++num_context_;
  for (Taken& other : taken_) other.is_taken = false;
  num_taken_ = 0;
  return choice_ && choice_->end ? OkStatus() : FindCandidates(taken.logits);
}

Status ContrastiveSearch::FindCandidates(std::span<float> logits) {
  model_logits_.assign(logits.begin(), logits.end());
  ProcessLogits(params_, history_, end_tokens_.ids(), logits);
  const float max = MaxLogit(logits);
  if (!std::isfinite(max)) {
    return {StatusCode::kInvalidArgument,
            "no token is left to choose; allow more with \"bad_words\" or \"min_new_tokens\""};
  }
  const auto sum = static_cast<float>(SumOfExp(logits, max));
  ranked_.resize(logits.size());
  for (size_t id = 0; id < logits.size(); ++id) {
    ranked_[id] = {std::exp(logits[id] - max) / sum, static_cast<int32_t>(id)};
  }
  const size_t count = std::min(num_candidates_wanted_, ranked_.size());
  TakeTop(ranked_, count, ranked_.size());
  candidates_.clear();
  for (size_t i = 0; i < count; ++i) {
    const float logprob =
        ComputeLogprobs(model_logits_, ranked_[i].index, params_.num_logprobs.value_or(0), tops_);
    candidates_.push_back({.token = {ranked_[i].index, logprob}, .probability = ranked_[i].score});
  }
  return OkStatus();
}

}  // namespace dray::sampling
