// Logits of single sequences, straight from a runner: what tests and tools compare models by.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/ids.h"
#include "base/status.h"
#include "engine/runner/loaded_model.h"
#include "engine/runner/model_runner.h"
#include "tensor/dtype.h"

namespace dray::engine {

struct ScorerOptions {
  int64_t max_tokens = 512;  // of a sequence
  int64_t chunk_tokens = 0;  // that a step reads; 0: all at once
  int64_t block_size = 16;
  DType kv_dtype = DType::kF32;
};

class SequenceScorer {
 public:
  // `model` must outlive the scorer.
  static Result<SequenceScorer> Make(LoadedModel& model, const ScorerOptions& options);

  // The logits at some positions, in ascending order: [positions.size(), vocab].
  Result<std::vector<float>> Logits(std::span<const int32_t> tokens,
                                    std::span<const int32_t> positions);
  // The `count` tokens behind `prompt`, each the one with the largest logit, computed one in a step.
  Result<std::vector<int32_t>> Greedy(std::span<const int32_t> prompt, int64_t count);

 private:
  SequenceScorer() = default;
  // A step that computes the tokens from position `first` on.
  void SetStep(std::span<const int32_t> tokens, int64_t first, int64_t num_rows);
  // Runs the step to its end and appends its logits to `logits`.
  Status Run(std::vector<float>& logits);

  int64_t chunk_tokens_ = 0;
  int64_t block_size_ = 0;
  std::vector<BlockId> block_table_;
  RunnerStep step_;
  std::unique_ptr<ModelRunner> runner_;
};

}  // namespace dray::engine
