// Runs text through a model and records the largest magnitudes of its activations.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/ids.h"
#include "base/status.h"
#include "engine/engine_options.h"
#include "engine/runner/loaded_model.h"
#include "engine/runner/model_runner.h"
#include "model/weights/calibration.h"

namespace dray::engine {

class Calibrator {
 public:
  // Loads the model. It is computed in the checkpoint's float format, or in options.format if that
  // is a float format. Other options for integers are ignored.
  static Result<std::unique_ptr<Calibrator>> Load(LoadModelOptions options);

  // The longest sequence that Read takes: as many tokens as one step computes, or the model's
  // context if that is shorter.
  int64_t max_sequence_tokens() const { return max_sequence_tokens_; }
  // Raises the peaks to those of one sequence. kInvalidArgument if the sequence is empty or too
  // long, or has tokens outside the model's vocabulary.
  Status Read(std::span<const int32_t> ids);

  // The peaks of all sequences so far.
  const model::Calibration& calibration() const { return calibration_; }

 private:
  explicit Calibrator(std::unique_ptr<LoadedModel> model)
      : model_(std::move(model)), calibration_(model_->description.config) {}

  // Lets each rank's backend raise the peaks of the channels that the rank reads.
  void Record();
  Status PrepareRunner();

  std::unique_ptr<LoadedModel> model_;
  model::Calibration calibration_;
  int64_t max_sequence_tokens_ = 0;
  int64_t block_size_ = 0;
  std::vector<BlockId> block_table_;
  std::unique_ptr<ModelRunner> runner_;
};

}  // namespace dray::engine
