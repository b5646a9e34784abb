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
  int64_t vocab = 0;
  int64_t state = 0;

  static RowWidths Of(const model::ModelConfig& config) {
    return {.vocab = config.vocab_size, .state = config.embed_dim};
  }
  int64_t most() const { return vocab + state; }
  int64_t OfStep(const RunnerStep& step) const { return step.wants_states ? most() : vocab; }
};

// Divides numbers, which must be as many as `num_rows` rows of the step give.
inline model::RowResults DivideResults(std::span<float> numbers, size_t num_rows,
                                       const RowWidths& widths) {
  const size_t num_logits = num_rows * static_cast<size_t>(widths.vocab);
  return {.logits = numbers.first(num_logits), .states = numbers.subspan(num_logits)};
}

class ResultBuffer {
 public:
  ResultBuffer(int64_t max_rows, const model::ModelConfig& config)
      : widths_(RowWidths::Of(config)), numbers_(static_cast<size_t>(max_rows * widths_.most())) {}

  model::RowResults Of(size_t num_rows, const RunnerStep& step) {
    const size_t count = num_rows * static_cast<size_t>(widths_.OfStep(step));
    return DivideResults(std::span(numbers_).first(count), num_rows, widths_);
  }

 private:
  RowWidths widths_;
  std::vector<float> numbers_;
};

}  // namespace dray::engine
