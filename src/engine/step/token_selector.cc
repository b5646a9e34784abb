#include "engine/step/token_selector.h"

#include <algorithm>

namespace dray::engine {

using scheduler::Outcome;
using scheduler::SequenceResult;

void TokenSelector::Reserve(int64_t max_sequences) {
  results_.reserve(static_cast<size_t>(max_sequences));
}

void TokenSelector::Begin(const StepInFlight& step) {
  results_.clear();
  failures_.clear();
  ready_groups_.clear();
  for (const scheduler::PlanEntry& entry : step.plan->entries) {
    if (entry.sampling == scheduler::Sampling::kNo) continue;
    results_.push_back({.id = entry.id, .num_new_tokens = 0});
  }
}

void TokenSelector::Take(const StepInFlight& step, const StepPiece& piece) {
  if (piece.num_rows == 0) return;
  const auto num_rows = static_cast<size_t>(piece.num_rows);
  const size_t vocab = piece.logits.size() / num_rows;
  const size_t state_width = piece.states.size() / num_rows;
  for (size_t i = 0; i < num_rows; ++i) {
    const WantedRow& wanted = step.wanted[static_cast<size_t>(piece.first) + i];
    Sequence* sequence = requests_.Find(wanted.id);
    if (sequence == nullptr) continue;
    if (!piece.status.ok()) {
      failures_.emplace_back(sequence->request->id, piece.status);
      continue;
    }
    const TokenRow row = {.logits = piece.logits.subspan(i * vocab, vocab),
                          .state = piece.states.subspan(i * state_width, state_width)};
    if (!wanted.result_idx) {
      TakePromptRow(wanted, *sequence, row);
      continue;
    }
    const auto position = static_cast<size_t>(wanted.position);
    const bool follows_truth =
        results_[static_cast<size_t>(*wanted.result_idx)].outcome == Outcome::kGoesOn &&
        sequence->tokens.size() == position + 1 &&
        sequence->tokens[position] == step.input.batch.ids[static_cast<size_t>(wanted.row)];
    if (!follows_truth) continue;
    Status status = SelectToken(wanted, *sequence, row);
    if (!status.ok()) failures_.emplace_back(sequence->request->id, std::move(status));
  }
}

void TokenSelector::Finish(const StepInFlight& step) {
  auto result = results_.begin();
  for (const scheduler::PlanEntry& entry : step.plan->entries) {
    if (entry.sampling == scheduler::Sampling::kNo) continue;
    result->num_accepted = std::clamp<int64_t>(result->num_new_tokens - 1, 0, entry.num_drafts);
    ++result;
  }
}

void TokenSelector::TakePromptRow(const WantedRow& wanted, Sequence& sequence,
                                  const TokenRow& row) {
  Request& request = *sequence.request;
  // A row may be wanted for one of the two alone, if the prompt is computed again.
  if (request.num_context_states() == wanted.position - request.num_source_tokens) {
    request.group->TakeContextState(row.state);
  }
  if (request.params.prompt_logprobs && request.num_prompt_scores() == wanted.position) {
    ScorePrompt(wanted, sequence, row.logits);
  }
}

void TokenSelector::ScorePrompt(const WantedRow& wanted, Sequence& sequence,
                                std::span<const float> logits) {
  Request& request = *sequence.request;
  const int32_t next = sequence.tokens[static_cast<size_t>(wanted.position + 1)];
  request.prompt_scores.logprobs.push_back(
      sampling::ComputeLogprobs(logits, next, *request.params.prompt_logprobs, tops_));
  request.prompt_scores.tops.push_back(tops_);
}

Status TokenSelector::SelectToken(const WantedRow& wanted, Sequence& sequence,
                                  const TokenRow& row) {
  Request& request = *sequence.request;
  SequenceResult& result = results_[static_cast<size_t>(*wanted.result_idx)];
  if (sequence.sequence_idx == 0 && request.params.prompt_logprobs &&
      wanted.position == request.num_prompt_tokens - 1) {
    request.sink->OnEvent(std::move(request.prompt_scores));
  }
  if (request.group != nullptr) return TakeMember(sequence, result, row);
  DRAY_ASSIGN_OR_RETURN(const sampling::SampledToken sampled,
                        sequence.sampler->Choose(row.logits, workspace_));
  sequence.tokens.push_back(sampled.token_id);
  ++result.num_new_tokens;
  ++num_tokens_;
  request.sink->OnEvent(TokenEvent{.sequence_idx = sequence.sequence_idx,
                                   .token = {sampled.token_id, sampled.logprob.value_or(0.0F)},
                                   .tops = {sampled.top.begin(), sampled.top.end()}});
  if (const auto reason = sequence.sampler->Append(sampled.token_id)) {
    result.outcome = Outcome::kFinished;
    request.sink->OnEvent(SequenceEndEvent{sequence.sequence_idx, *reason});
  }
  return OkStatus();
}

Status TokenSelector::TakeMember(Sequence& sequence, SequenceResult& result, const TokenRow& row) {
  Request& request = *sequence.request;
  DRAY_RETURN_IF_ERROR(request.group->Take(sequence.sequence_idx, row, workspace_));
  result.outcome = Outcome::kHeld;
  if (!request.group->ready()) return OkStatus();
  ready_groups_.push_back(request.id);
  num_tokens_ += static_cast<uint64_t>(request.group->num_members());
  return OkStatus();
}

}  // namespace dray::engine
