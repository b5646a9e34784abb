// Runs text through a model to learn what its activations are like.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/status.h"
#include "engine/engine_core.h"
#include "engine/engine_options.h"
#include "engine/runner/loaded_model.h"
#include "model/weights/calibration.h"

namespace dray::engine {

class Calibrator {
 public:
  // Loads the model. It is computed in the checkpoint's floats, or in options.format if that is
  // one; nothing else of `options` that speaks of integers is asked for.
  static Result<std::unique_ptr<Calibrator>> Load(LoadModelOptions options);

  // Tokens of the longest sequence that Read takes: what one step computes, or the model's context
  // if that is shorter.
  int64_t max_sequence_tokens() const;
  // Raises the peaks to those of one sequence. Refuses an empty one, a longer one, and tokens that
  // the model has not.
  Status Read(std::vector<int32_t> ids);

  // Of all that was read.
  const model::Calibration& calibration() const { return calibration_; }

 private:
  explicit Calibrator(std::unique_ptr<LoadedModel> model)
      : model_(std::move(model)), calibration_(model_->description.config) {}

  std::unique_ptr<LoadedModel> model_;
  model::Calibration calibration_;
  std::unique_ptr<EngineCore> core_;
  uint64_t num_sequences_ = 0;
};

}  // namespace dray::engine
