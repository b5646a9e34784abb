// The memory for what one piece of a step gives: the logits of its rows, and behind them the states, if
// the step wants them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/runner/model_runner.h"
#include "model/config/model_config.h"
#include "model/forward/decoder.h"

namespace dray::engine {

// How many numbers each row gives.
struct RowWidths {
  int64_t vocab = 0;  // of encoders: classes
  int64_t state = 0;

  // If a step wants all results.
  static RowWidths Of(const model::ModelConfig& config) {
    if (config.kind == model::ModelKind::kEncoder) {
      return {.vocab = config.classifier ? config.classifier->num_labels() : 0,
              .state = config.stack.hidden};
    }
    return {.vocab = config.vocab_size, .state = config.embed_dim};
  }
  RowWidths OfStep(const RunnerStep& step) const {
    return {.vocab = step.wants_logits ? vocab : 0, .state = step.wants_states ? state : 0};
  }
  int64_t sum() const { return vocab + state; }
};

// Divides numbers, which must be as many as `num_rows` rows of a step with such widths give.
inline model::RowResults DivideResults(std::span<float> numbers, size_t num_rows,
                                       const RowWidths& widths) {
  const size_t num_logits = num_rows * static_cast<size_t>(widths.vocab);
  return {.logits = numbers.first(num_logits), .states = numbers.subspan(num_logits)};
}

class ResultBuffer {
 public:
  ResultBuffer(int64_t max_rows, const model::ModelConfig& config)
      : widths_(RowWidths::Of(config)), numbers_(static_cast<size_t>(max_rows * widths_.sum())) {}

  model::RowResults Of(size_t num_rows, const RunnerStep& step) {
    const RowWidths widths = widths_.OfStep(step);
    const size_t count = num_rows * static_cast<size_t>(widths.sum());
    return DivideResults(std::span(numbers_).first(count), num_rows, widths);
  }

 private:
  RowWidths widths_;
  std::vector<float> numbers_;
};

}  // namespace dray::engine
