#include "engine/step_batch.h"

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

void AppendEntry(const scheduler::PlanEntry& entry, int32_t block_size, Sequence& sequence,
                 StepBatch& batch) {
  model::RaggedBatch& ragged = batch.ragged;
  const auto first_row = static_cast<int32_t>(ragged.ids.size());
  const int64_t end = entry.first_token + entry.num_tokens;
  ragged.sequences.push_back({.first_row = first_row,
                              .num_rows = static_cast<int32_t>(entry.num_tokens),
                              .context_tokens = static_cast<int32_t>(end),
                              .table_offset = static_cast<int32_t>(ragged.block_tables.size())});
  for (const BlockId block : entry.block_table) ragged.block_tables.push_back(block.value());
  for (int64_t position = entry.first_token; position < end; ++position) {
    const int32_t block = entry.block_table[static_cast<size_t>(position / block_size)].value();
    ragged.ids.push_back(sequence.tokens[static_cast<size_t>(position)]);
    ragged.positions.push_back(static_cast<int32_t>(position));
    ragged.slots.push_back(block * block_size + static_cast<int32_t>(position % block_size));
    ragged.known_tokens.push_back(
        static_cast<int32_t>(std::max(sequence.num_prompt_tokens, position + 1)));
  }
  if (WantsPromptScores(sequence)) {
    const int64_t first = std::max(entry.first_token, sequence.request->num_prompt_scores());
    for (int64_t position = first; position < std::min(end, sequence.num_prompt_tokens - 1);
         ++position) {
      batch.prompt_scores.push_back(
          {first_row + static_cast<int32_t>(position - entry.first_token), position, &sequence});
    }
  }
  if (entry.sampling == scheduler::Sampling::kYes) {
    batch.samples.push_back(
        {first_row + static_cast<int32_t>(entry.num_tokens - 1), end - 1, &sequence});
  }
}

}  // namespace dray::engine
