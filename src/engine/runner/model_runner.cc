// Builds the steps of all runners.
#include "engine/runner/model_runner.h"

#include <algorithm>

#include "base/check.h"

namespace dray::engine {

namespace {

// The place in the cache of a position that the block table covers.
int32_t SlotOf(std::span<const BlockId> block_table, int64_t position, int64_t block_size) {
  const int64_t block = block_table[static_cast<size_t>(position / block_size)].value();
  return static_cast<int32_t>(block * block_size + position % block_size);
}

}  // namespace

model::EncoderLimits SourceLimits(const RunnerSpec& spec) {
  return {.max_batch_tokens = spec.step.max_batch_tokens,
          .max_texts = spec.step.max_sequences,
          .kv_dtype = spec.cache.dtype};
}

void RunnerStep::Clear() {
  copy_from.clear();
  copy_to.clear();
  sources.Clear();
  batch.Clear();
  logit_rows.clear();
  wants_logits = true;
  wants_states = false;
}

void RunnerStep::Reserve(const RunnerSpec& spec) {
  sources.Reserve(SourceLimits(spec));
  batch.Reserve(spec.step);
  logit_rows.reserve(static_cast<size_t>(spec.step.max_batch_tokens));
  copy_from.reserve(static_cast<size_t>(spec.step.max_sequences));
  copy_to.reserve(static_cast<size_t>(spec.step.max_sequences));
}

void RunnerStep::AppendCopy(BlockId from, BlockId to) {
  copy_from.push_back(from.value());
  copy_to.push_back(to.value());
}

int32_t RunnerStep::AppendRows(const SequenceRows& rows, int64_t block_size) {
  if (rows.first_position < rows.num_source_tokens) AppendSource(rows, block_size);
  const auto first_row = static_cast<int32_t>(batch.ids.size());
  const int64_t begin = rows.first_decoded(), end = rows.first_position + rows.num_rows;
  batch.sequences.push_back({.first_row = first_row,
                             .num_rows = static_cast<int32_t>(end - begin),
                             .context_tokens = static_cast<int32_t>(end),
                             .table_offset = static_cast<int32_t>(batch.block_tables.size()),
                             .first_token = static_cast<int32_t>(rows.num_source_tokens)});
  for (const BlockId block : rows.block_table) batch.block_tables.push_back(block.value());
  for (int64_t position = begin; position < end; ++position) {
    const auto index = static_cast<size_t>(position);
    batch.ids.push_back(index < rows.known.size() ? rows.known[index]
                                                  : rows.guesses[index - rows.known.size()]);
    batch.positions.push_back(static_cast<int32_t>(position - rows.num_source_tokens));
    batch.slots.push_back(SlotOf(rows.block_table, position, block_size));
    batch.known_tokens.push_back(static_cast<int32_t>(
        std::max(rows.num_prompt_tokens, position + 1) - rows.num_source_tokens));
  }
  return first_row;
}

void RunnerStep::AppendSource(const SequenceRows& rows, int64_t block_size) {
  DRAY_CHECK(rows.first_position == 0 && rows.num_rows > rows.num_source_tokens);
  const auto source = rows.known.first(static_cast<size_t>(rows.num_source_tokens));
  sources.texts.ids.insert(sources.texts.ids.end(), source.begin(), source.end());
  sources.texts.lengths.push_back(static_cast<int32_t>(rows.num_source_tokens));
  for (int64_t position = 0; position < rows.num_source_tokens; ++position) {
    sources.slots.push_back(SlotOf(rows.block_table, position, block_size));
  }
}

TrafficCounters CountersOf(const RankTraffic& traffic) {
  const auto& [group, to_next] = traffic;
  return {group.sums,           group.sum_numbers, group.gathers, group.gather_numbers,
          group.received_bytes, to_next.messages,  to_next.bytes};
}

RankTraffic TrafficOf(const TrafficCounters& counters) {
  return {.group = {.sums = counters[0],
                    .sum_numbers = counters[1],
                    .gathers = counters[2],
                    .gather_numbers = counters[3],
                    .received_bytes = counters[4]},
          .to_next = {.messages = counters[5], .bytes = counters[6]}};
}

}  // namespace dray::engine
