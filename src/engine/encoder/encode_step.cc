#include "engine/encoder/encode_step.h"

#include <algorithm>
#include <numeric>

#include "engine/runner/result_buffer.h"
#include "model/forward/encoder_memory.h"

namespace dray::engine {
namespace {

// Of `numbers`, [tokens, width]: the rows of the first tokens of texts.
std::vector<float> FirstRows(const std::vector<float>& numbers, size_t width,
                             const std::vector<int32_t>& lengths) {
  std::vector<float> rows;
  auto row = numbers.begin();
  for (const int32_t length : lengths) {
    rows.insert(rows.end(), row, row + static_cast<std::ptrdiff_t>(width));
    row += static_cast<std::ptrdiff_t>(width) * length;
  }
  return rows;
}

}  // namespace

RunnerSpec EncoderSpec(const model::EncoderLimits& limits) {
  return {.cache = {.num_blocks = 0, .dtype = limits.kv_dtype},
          .step = {.max_batch_tokens = limits.max_batch_tokens,
                   .max_sequences = limits.max_texts,
                   .max_logit_rows = limits.max_batch_tokens}};
}

int64_t EncoderWorkingBytes(const LoadedModel& model, const model::EncoderLimits& limits) {
  constexpr auto kFloat = static_cast<int64_t>(sizeof(float));
  const model::ModelConfig& config = model.description.config;
  const int64_t hidden = config.stack.hidden;
  const int64_t stream = limits.max_batch_tokens * hidden * kFloat;
  // The runner's results in host memory, and the caller's copy of them.
  int64_t bytes = 2 * limits.max_batch_tokens * RowWidths::Of(config).sum() * kFloat;
  for (const RankModel& rank : model.ranks) {
    bytes += model::EncoderMemoryBytes(config, rank.stack, limits);
    // A copy of a projection's inputs, packed; the widest ones are those of the feed-forward's output.
    bytes += limits.max_batch_tokens * std::max(hidden, rank.stack.ffn) * kFloat;
    // A stream that waits for the next stage.
    if (!rank.stage.is_last()) bytes += stream;
  }
  // What the ranks send to each other (parallel/thread_group.h).
  const int64_t world = model.ranks_in_stage();
  if (world > 1) bytes += 3 * world * model.num_stages * stream;
  return bytes;
}

void WantNumbers(const WantedNumbers& wanted, RunnerStep& step) {
  const model::EncoderBatch& texts = step.sources.texts;
  step.wants_states = wanted.states;
  step.wants_logits = wanted.classes;
  step.logit_rows.clear();
  if (wanted.states) {
    step.logit_rows.resize(texts.ids.size());
    std::iota(step.logit_rows.begin(), step.logit_rows.end(), 0);
    return;
  }
  int32_t first = 0;
  for (const int32_t length : texts.lengths) {
    step.logit_rows.push_back(first);
    first += length;
  }
}

StepPiece CollectNumbers(ModelRunner& runner, const RunnerStep& step,
                         const model::ModelConfig& config, EncodeNumbers& numbers) {
  numbers.states.clear();
  numbers.classes.clear();
  for (;;) {
    StepPiece piece = runner.Collect();
    if (!piece.status.ok()) return piece;
    numbers.states.insert(numbers.states.end(), piece.states.begin(), piece.states.end());
    numbers.classes.insert(numbers.classes.end(), piece.logits.begin(), piece.logits.end());
    if (!piece.is_last) continue;
    // A step that wants both has classes of all tokens.
    if (step.wants_logits && step.wants_states) {
      const auto width = static_cast<size_t>(RowWidths::Of(config).vocab);
      numbers.classes = FirstRows(numbers.classes, width, step.sources.texts.lengths);
    }
    return piece;
  }
}

}  // namespace dray::engine
