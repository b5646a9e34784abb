// A pass of an encoder as a step of its runner: how large such steps are, and how their results become
// numbers.
#pragma once

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "engine/runner/loaded_model.h"
#include "engine/runner/model_runner.h"
#include "model/config/model_config.h"
#include "model/forward/encoder.h"

namespace dray::engine {

// The steps of a runner whose passes are within the limits.
RunnerSpec EncoderSpec(const model::EncoderLimits& limits);

// Bytes of working memory that such a runner and its caller take, at all ranks, on devices and host.
int64_t EncoderWorkingBytes(const LoadedModel& model, const model::EncoderLimits& limits);

struct WantedNumbers {
  bool states = false;
  bool classes = false;  // only of a model with a classifier
};
// Asks for results of the texts that the step has in `sources`: the states of all tokens, and what the
// classifier makes of each text.
void WantNumbers(const WantedNumbers& wanted, RunnerStep& step);

// What a step gives.
struct EncodeNumbers {
  std::vector<float> states;   // [tokens of all texts, hidden], if the step wants them
  std::vector<float> classes;  // [texts, labels], if the step wants them
};
// Collects the results of `step`, which is the oldest in flight. Returns the last piece, which says whether
// that has failed.
StepPiece CollectNumbers(ModelRunner& runner, const RunnerStep& step,
                         const model::ModelConfig& config, EncodeNumbers& numbers);

}  // namespace dray::engine
