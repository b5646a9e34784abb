#include "engine/runner/step_batch.h"

#include <algorithm>

namespace dray::engine {
namespace {

bool WantsPromptScores(const Sequence& sequence) {
  return sequence.sequence_idx == 0 && sequence.request->params.prompt_logprobs.has_value();
}

}  // namespace

void Clear(StepBatch& batch) {
  batch.ragged.Clear();
  batch.samples.clear();
  batch.prompt_scores.clear();
}

void AppendRows(const scheduler::PlanEntry& entry, int32_t block_size, const Sequence& sequence,
                model::RaggedBatch& ragged) {
  const auto first_row = static_cast<int32_t>(ragged.ids.size());
  const int64_t end = entry.first_token + entry.num_tokens;
  ragged.sequences.push_back({.first_row = first_row,
                              .num_rows = static_cast<int32_t>(entry.num_tokens),
                              .context_tokens = static_cast<int32_t>(end),
                              .table_offset = static_cast<int32_t>(ragged.block_tables.size())});
  for (const BlockId block : entry.block_table) ragged.block_tables.push_back(block.value());
  for (int64_t position = entry.first_token; position < end; ++position) {
    const int32_t block = entry.block_table[static_cast<size_t>(position / block_size)].value();
    const auto index = static_cast<size_t>(position);
    const size_t num_known = sequence.tokens.size();
    ragged.ids.push_back(index < num_known ? sequence.tokens[index]
                                           : sequence.draft.tokens[index - num_known]);
    ragged.positions.push_back(static_cast<int32_t>(position));
    ragged.slots.push_back(block * block_size + static_cast<int32_t>(position % block_size));
    ragged.known_tokens.push_back(
        static_cast<int32_t>(std::max(sequence.num_prompt_tokens, position + 1)));
  }
}

void AppendEntry(const scheduler::PlanEntry& entry, int32_t block_size, Sequence& sequence,
                 StepBatch& batch) {
  const auto first_row = static_cast<int32_t>(batch.ragged.ids.size());
  const int64_t end = entry.first_token + entry.num_tokens;
  AppendRows(entry, block_size, sequence, batch.ragged);
  if (WantsPromptScores(sequence)) {
    const int64_t first = std::max(entry.first_token, sequence.request->num_prompt_scores());
    for (int64_t position = first; position < std::min(end, sequence.num_prompt_tokens - 1);
         ++position) {
      batch.prompt_scores.push_back(
          {first_row + static_cast<int32_t>(position - entry.first_token), position, &sequence});
    }
  }
  if (entry.sampling == scheduler::Sampling::kNo) return;
  for (int64_t i = entry.num_tokens - entry.num_drafts - 1; i < entry.num_tokens; ++i) {
    batch.samples.push_back(
        {first_row + static_cast<int32_t>(i), entry.first_token + i, &sequence});
  }
}

}  // namespace dray::engine
