#include "sampling/beams/beam_sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "base/check.h"
#include "sampling/beams/beam_draws.h"
#include "sampling/logits.h"

namespace dray::sampling {
namespace {

BeamSearchSpec SearchSpec(const SamplingParams& params, std::span<const int32_t> end_tokens,
                          int64_t num_prompt_tokens) {
  BeamSearchSpec spec = {.num_beams = params.num_beams,
                         .num_groups = params.num_beam_groups,
                         .length_penalty = LengthPenalty(params),
                         .early_stopping = params.early_stopping,
                         .max_new_tokens = params.max_new_tokens,
                         .rules = params.beam_rules,
                         .num_prompt_tokens = num_prompt_tokens,
                         .sibling_rate = params.sibling_diversity_rate,
                         .draws = !IsGreedy(params)};
  // FasterTransformer has no other way to stop.
  if (spec.rules == BeamRules::kFasterTransformer) spec.early_stopping = EarlyStopping::kYes;
  // As transformers does without a padding token.
  if (!end_tokens.empty()) spec.pad_token = end_tokens.front();
  if (params.pad_token_id) spec.pad_token = *params.pad_token_id;
  spec.end_tokens.assign(end_tokens.begin(), end_tokens.end());
  return spec;
}

}  // namespace

BeamSampler::BeamSampler(const BeamSamplerSpec& spec)
    : params_(spec.params),
      end_tokens_(params_, spec.eos_token_ids),
      search_(MakeBeamSearch(
          SearchSpec(params_, end_tokens_.ids(), static_cast<int64_t>(spec.prompt.size())))) {
  const auto num_beams = static_cast<size_t>(params_.num_beams);
  beams_.assign(num_beams, {.history = TokenHistory(params_, spec.prompt)});
  next_histories_.assign(num_beams, beams_[0].history);
  rows_.resize(num_beams);
}

Status BeamSampler::Take(int64_t beam, std::span<float> logits, SamplingWorkspace& workspace) {
  DRAY_CHECK(beam >= 0 && beam < num_current());
  Beam& taken = beams_[static_cast<size_t>(beam)];
  const float max = MaxLogit(logits);
  if (!std::isfinite(max)) {
    return {StatusCode::kInternal,
            "the model's logits hold NaN or infinity; its weights or number format overflow"};
  }
  if (params_.num_logprobs) ComputeLogprobs(logits, 0, *params_.num_logprobs, taken.tops);
  const auto log_sum = static_cast<float>(std::log(SumOfExp(logits, max)));
  for (float& logit : logits) logit = (logit - max) - log_sum;
  vocab_size_ = static_cast<int64_t>(logits.size());
  if (search_->num_groups() > 1) {
    taken.logprobs.assign(logits.begin(), logits.end());
  } else {
    workspace.model_logits.assign(logits.begin(), logits.end());
    if (IsGreedy(params_)) {
      MakeRow(beam, beam, workspace.model_logits, logits);
    } else {
      DrawRow(beam, logits, workspace);
    }
  }
  if (!std::exchange(taken.is_taken, true)) ++num_taken_;
  return OkStatus();
}

void BeamSampler::MakeRow(int64_t from, int64_t to, std::span<const float> logprobs,
                          std::span<float> scores) {
  const Beam& beam = beams_[static_cast<size_t>(from)];
  ProcessLogits(params_, beam.history, end_tokens_.ids(), scores);
  if (search_->ranking().NeedsWholeRows(vocab_size_)) {
    kept_.resize(scores.size());
    std::iota(kept_.begin(), kept_.end(), 0);
  } else {
    filter_.Filter(scores, static_cast<size_t>(search_->ranking().num_candidates(vocab_size_)),
                   kept_);
  }
  BeamRow& row = rows_[static_cast<size_t>(to)];
  row.tops = beam.tops;
  row.continuations.clear();
  for (const int32_t id : kept_) {
    const auto index = static_cast<size_t>(id);
    row.continuations.push_back({id, scores[index], logprobs[index]});
  }
}

void BeamSampler::DrawRow(int64_t beam, std::span<float> scores, SamplingWorkspace& workspace) {
  const Beam& drawn = beams_[static_cast<size_t>(beam)];
  ProcessLogits(params_, drawn.history, end_tokens_.ids(), scores);
  BeamRow& row = rows_[static_cast<size_t>(beam)];
  row.tops = drawn.tops;
  FillDrawnRow(
      {.params = params_,
       .place = {.seed = params_.seed.value_or(0),
                 .position = drawn.history.num_generated(),
                 .beam = beam},
       .least = static_cast<size_t>(search_->ranking().num_candidates_of_beam(vocab_size_)),
       .logprobs = workspace.model_logits,
       .scores = scores},
      workspace, row);
}

void BeamSampler::PenalizeEarlierGroups(int64_t group, std::span<float> scores) const {
  const auto num_earlier = static_cast<size_t>(group * search_->group_size());
  const auto penalty = static_cast<float>(params_.diversity_penalty);
  const auto earlier = search_->moves().first(num_earlier);
  const auto count = [&](auto end, int32_t token_id) {
    return std::count_if(earlier.begin(), end,
                         [=](const BeamSearch::Move& m) { return m.token_id == token_id; });
  };
  for (auto move = earlier.begin(); move != earlier.end(); ++move) {
    // Each token once, for all beams that have chosen it.
    const auto index = static_cast<size_t>(move->token_id);
    if (count(move, move->token_id) > 0 || index >= scores.size()) continue;
    const auto frequency = static_cast<float>(count(earlier.end(), move->token_id));
    scores[index] -= penalty * frequency;
  }
}

void BeamSampler::MakeRows(int64_t group) {
  const int64_t first = group * search_->group_size();
  const bool is_first_step = search_->num_steps() == 0;
  const int64_t count = is_first_step ? 1 : search_->group_size();
  for (int64_t beam = first; beam < first + count; ++beam) {
    const int64_t from = is_first_step ? 0 : beam;
    const std::vector<float>& logprobs = beams_[static_cast<size_t>(from)].logprobs;
    scores_.assign(logprobs.begin(), logprobs.end());
    PenalizeEarlierGroups(group, scores_);
    MakeRow(from, beam, logprobs, scores_);
  }
}

Status BeamSampler::Advance() {
  DRAY_CHECK(ready());
  const auto size = static_cast<size_t>(search_->group_size());
  const size_t num_rows = search_->num_steps() == 0 ? 1 : size;
  for (int64_t group = 0; group < search_->num_groups(); ++group) {
    if (search_->num_groups() > 1) MakeRows(group);
    const auto rows = std::span(rows_).subspan(static_cast<size_t>(group) * size, num_rows);
    if (!search_->Advance(group, rows, vocab_size_)) {
      return {StatusCode::kInvalidArgument,
              "no token is left to choose; allow more with \"bad_words\" or \"min_new_tokens\""};
    }
  }
  num_taken_ = 0;
  const std::span<const BeamSearch::Move> moves = search_->moves();
  for (size_t i = 0; i < moves.size(); ++i) {
    next_histories_[i] = beams_[static_cast<size_t>(moves[i].parent)].history;
    next_histories_[i].Append(moves[i].token_id);
  }
  for (size_t i = 0; i < moves.size(); ++i) {
    std::swap(beams_[i].history, next_histories_[i]);
    beams_[i].is_taken = false;
  }
  return OkStatus();
}

FinishReason BeamSampler::ReasonOf(const Hypothesis& hypothesis) const {
  if (hypothesis.tokens.empty()) return FinishReason::kLength;
  return end_tokens_.ReasonOf(hypothesis.tokens.back().token.id).value_or(FinishReason::kLength);
}

}  // namespace dray::sampling
