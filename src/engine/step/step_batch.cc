#include "engine/step/step_batch.h"

#include <algorithm>

#include "base/check.h"

namespace dray::engine {
namespace {

// The positions [begin, end) of an entry whose rows are wanted because the next tokens are to be scored,
// or because the request's group needs their states.
struct PromptRange {
  int64_t begin = 0;
  int64_t end = 0;
};

PromptRange WantedOfPrompt(const scheduler::PlanEntry& entry, const Sequence& sequence) {
  if (sequence.sequence_idx != 0) return {};
  const Request& request = *sequence.request;
  const int64_t last = sequence.num_prompt_tokens - 1;
  int64_t num_known = last;
  if (request.params.prompt_logprobs) num_known = std::min(num_known, request.num_prompt_scores());
  if (const auto num_states = request.num_context_states()) {
    num_known = std::min(num_known, request.num_source_tokens + *num_states);
  }
  return {.begin = std::max(entry.first_token, num_known),
          .end = std::min(entry.first_token + entry.num_tokens, last)};
}

// Appends the rows of an entry. `result_idx` is that of its result, if it samples.
void AppendEntry(const scheduler::PlanEntry& entry, const Sequence& sequence, int64_t block_size,
                 int32_t result_idx, StepInFlight& step) {
  const SequenceRows rows = {.first_position = entry.first_token,
                             .num_rows = entry.num_tokens,
                             .num_prompt_tokens = sequence.num_prompt_tokens,
                             .known = sequence.tokens,
                             .guesses = sequence.drafts.tokens,
                             .block_table = entry.block_table,
                             .num_source_tokens = sequence.request->num_source_tokens};
  const int32_t first_row = step.input.AppendRows(rows, block_size);
  WantedRow wanted = {.id = entry.id, .position = 0, .row = 0};
  const auto want = [&](int64_t position) {
    wanted.position = position;
    wanted.row = first_row + static_cast<int32_t>(position - rows.first_decoded());
    step.input.logit_rows.push_back(wanted.row);
    step.wanted.push_back(wanted);
  };
  step.input.wants_states |= sequence.request->num_context_states().has_value();
  const PromptRange prompt = WantedOfPrompt(entry, sequence);
  for (int64_t position = prompt.begin; position < prompt.end; ++position) want(position);
  if (entry.sampling == scheduler::Sampling::kNo) return;
  wanted.result_idx = result_idx;
  const int64_t end = entry.first_token + entry.num_tokens;
  for (int64_t position = end - entry.num_drafts - 1; position < end; ++position) want(position);
}

}  // namespace

void MakeBatch(const scheduler::Plan& plan, const RequestTable& requests, int64_t block_size,
               StepInFlight& step) {
  step.plan = &plan;
  step.input.Clear();
  step.wanted.clear();
  for (const scheduler::BlockCopy& copy : plan.block_copies) {
    step.input.AppendCopy(copy.from, copy.to);
  }
  int32_t num_results = 0;
  for (const scheduler::PlanEntry& entry : plan.entries) {
    const Sequence* sequence = requests.Find(entry.id);
    DRAY_CHECK(sequence != nullptr);
    AppendEntry(entry, *sequence, block_size, num_results, step);
    if (entry.sampling == scheduler::Sampling::kYes) ++num_results;
  }
}

}  // namespace dray::engine
