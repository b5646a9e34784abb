#include "sampling/beams/beam_sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "base/check.h"
#include "sampling/logits.h"

namespace dray::sampling {
namespace {

std::vector<int32_t> EndTokens(const BeamSamplerSpec& spec) {
  std::vector<int32_t> tokens;
  if (!spec.params.ignore_eos) {
    tokens.assign(spec.eos_token_ids.begin(), spec.eos_token_ids.end());
  }
  tokens.insert(tokens.end(), spec.params.stop_token_ids.begin(), spec.params.stop_token_ids.end());
  return tokens;
}

}  // namespace

BeamSampler::BeamSampler(const BeamSamplerSpec& spec)
    : params_(spec.params),
      end_tokens_(EndTokens(spec)),
      num_eos_(end_tokens_.size() - params_.stop_token_ids.size()),
      search_({.num_beams = params_.num_beams,
               .length_penalty = params_.length_penalty,
               .early_stopping = params_.early_stopping,
               .max_new_tokens = params_.max_new_tokens,
               .end_tokens = end_tokens_}) {
  const auto num_beams = static_cast<size_t>(params_.num_beams);
  histories_.assign(num_beams, TokenHistory(params_, spec.prompt));
  next_histories_ = histories_;
  rows_.resize(num_beams);
  taken_.assign(num_beams, false);
}

Status BeamSampler::Take(int64_t beam, std::span<float> logits, SamplingWorkspace& workspace) {
  const auto index = static_cast<size_t>(beam);
  DRAY_CHECK(beam >= 0 && beam < num_current());
  const float max = MaxLogit(logits);
  if (!std::isfinite(max)) {
    return {StatusCode::kInternal,
            "the model's logits hold NaN or infinity; its weights or number format overflow"};
  }
  BeamRow& row = rows_[index];
  if (params_.num_logprobs) ComputeLogprobs(logits, 0, *params_.num_logprobs, row.tops);
  const auto log_sum = static_cast<float>(std::log(SumOfExp(logits, max)));
  for (float& logit : logits) logit = (logit - max) - log_sum;
  workspace.model_logits.assign(logits.begin(), logits.end());
  ProcessLogits(params_, histories_[index], end_tokens_, logits);
  vocab_size_ = static_cast<int64_t>(logits.size());
  FillRow(logits, workspace, row);
  if (!taken_[index]) ++num_taken_;
  taken_[index] = true;
  return OkStatus();
}

void BeamSampler::FillRow(std::span<const float> scores, SamplingWorkspace& workspace,
                          BeamRow& row) {
  if (search_.NeedsWholeRows(vocab_size_)) {
    kept_.resize(scores.size());
    std::iota(kept_.begin(), kept_.end(), 0);
  } else {
    filter_.Filter(scores, static_cast<size_t>(search_.num_candidates(vocab_size_)), kept_);
  }
  row.continuations.clear();
  for (const int32_t id : kept_) {
    const auto index = static_cast<size_t>(id);
    row.continuations.push_back({id, scores[index], workspace.model_logits[index]});
  }
}

Status BeamSampler::Advance() {
  DRAY_CHECK(ready());
  const auto rows = std::span(rows_).first(static_cast<size_t>(num_current()));
  if (!search_.Advance(rows, vocab_size_)) {
    return {StatusCode::kInvalidArgument,
            "no token is left to choose; allow more with \"bad_words\" or \"min_new_tokens\""};
  }
  taken_.assign(taken_.size(), false);
  num_taken_ = 0;
  const std::span<const BeamSearch::Move> moves = search_.moves();
  for (size_t i = 0; i < moves.size(); ++i) {
    next_histories_[i] = histories_[static_cast<size_t>(moves[i].parent)];
    next_histories_[i].Append(moves[i].token_id);
  }
  std::swap(histories_, next_histories_);
  return OkStatus();
}

FinishReason BeamSampler::ReasonOf(const Hypothesis& hypothesis) const {
  if (hypothesis.tokens.empty()) return FinishReason::kLength;
  const auto found =
      std::find(end_tokens_.begin(), end_tokens_.end(), hypothesis.tokens.back().token.id);
  if (found == end_tokens_.end()) return FinishReason::kLength;
  const bool is_eos = static_cast<size_t>(found - end_tokens_.begin()) < num_eos_;
  return is_eos ? FinishReason::kEosToken : FinishReason::kStopToken;
}

}  // namespace dray::sampling
