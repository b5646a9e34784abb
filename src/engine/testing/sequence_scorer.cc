#include "engine/testing/sequence_scorer.h"

#include <algorithm>

#include "base/checked_math.h"
#include "engine/runner/make_runner.h"

namespace dray::engine {

Result<SequenceScorer> SequenceScorer::Make(LoadedModel& model, const ScorerOptions& options) {
  SequenceScorer scorer;
  scorer.chunk_tokens_ = options.chunk_tokens > 0 ? options.chunk_tokens : options.max_tokens;
  scorer.block_size_ = options.block_size;
  const int64_t num_blocks = DivideRoundUp(options.max_tokens, options.block_size);
  // Backwards, since blocks need not be in order.
  for (int64_t i = num_blocks; i > 0; --i) {
    scorer.block_table_.emplace_back(static_cast<int32_t>(i - 1));
  }
  const RunnerSpec spec = {.cache = {.num_blocks = num_blocks,
                                     .block_size = options.block_size,
                                     .dtype = options.kv_dtype},
                           .step = {.max_batch_tokens = scorer.chunk_tokens_,
                                    .max_sequences = 1,
                                    .max_logit_rows = scorer.chunk_tokens_,
                                    .max_table_entries = num_blocks}};
  DRAY_ASSIGN_OR_RETURN(scorer.runner_, MakeRunner(model, spec));
  return scorer;
}

void SequenceScorer::SetStep(std::span<const int32_t> tokens, int64_t first, int64_t num_rows) {
  step_.Clear();
  step_.AppendRows({.first_position = first,
                    .num_rows = num_rows,
                    .num_prompt_tokens = static_cast<int64_t>(tokens.size()),
                    .known = tokens,
                    .block_table = block_table_},
                   block_size_);
}

Result<std::vector<float>> SequenceScorer::Logits(std::span<const int32_t> tokens,
                                                  std::span<const int32_t> positions) {
  const auto length = static_cast<int64_t>(tokens.size());
  std::vector<float> logits;
  for (int64_t first = 0; first < length; first += chunk_tokens_) {
    const int64_t num_rows = std::min(chunk_tokens_, length - first);
    SetStep(tokens, first, num_rows);
    for (const int32_t position : positions) {
      if (position < first || position >= first + num_rows) continue;
      step_.logit_rows.push_back(static_cast<int32_t>(position - first));
    }
    DRAY_RETURN_IF_ERROR(Run(logits));
  }
  return logits;
}

Result<std::vector<int32_t>> SequenceScorer::Greedy(std::span<const int32_t> prompt,
                                                    int64_t count) {
  std::vector<int32_t> tokens(prompt.begin(), prompt.end());
  const auto last = static_cast<int32_t>(prompt.size() - 1);
  DRAY_ASSIGN_OR_RETURN(auto logits, Logits(prompt, {&last, 1}));
  std::vector<int32_t> chosen;
  while (true) {
    const auto best = std::max_element(logits.begin(), logits.end());
    chosen.push_back(static_cast<int32_t>(best - logits.begin()));
    if (static_cast<int64_t>(chosen.size()) == count) return chosen;
    tokens.push_back(chosen.back());
    SetStep(tokens, static_cast<int64_t>(tokens.size()) - 1, 1);
    step_.logit_rows.push_back(0);
    logits.clear();
    DRAY_RETURN_IF_ERROR(Run(logits));
  }
}

Status SequenceScorer::Run(std::vector<float>& logits) {
  runner_->Submit(step_);
  for (bool more = true; more;) {
    const StepPiece piece = runner_->Collect();
    DRAY_RETURN_IF_ERROR(piece.status);
    logits.insert(logits.end(), piece.logits.begin(), piece.logits.end());
    more = !piece.is_last;
  }
  return OkStatus();
}

}  // namespace dray::engine
