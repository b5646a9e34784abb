// Runs random texts through an encoder, all of them again and again, and notes the time of each run. As
// in a server, texts go into passes of so many tokens, one behind the other without padding.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/status.h"
#include "bench/model_run.h"
#include "engine/encoder/encode_step.h"
#include "engine/encoder/encoder_engine.h"
#include "engine/runner/loaded_model.h"
#include "engine/runner/model_runner.h"

namespace dray::bench {

// Lengths from 8 tokens to `longest` in equal ratios, shuffled, always in the same way.
// bench/peers/engines/common.py gives texts of the same lengths to other engines.
std::vector<int64_t> MixedLengths(int64_t texts, int64_t longest);

class TimedEncoder {
 public:
  // `lengths` are the tokens of the texts. `model` must outlive this object. kUnsupported if the model is
  // no encoder, kInvalidArgument if it has fewer positions than the longest text.
  static Result<TimedEncoder> Make(engine::LoadedModel& model,
                                   const engine::EncoderOptions& options,
                                   std::vector<int64_t> lengths);

  // The format of keys and values.
  DType kv_dtype() const { return limits_.kv_dtype; }
  // Computes the states of all texts, for half a second at least, and returns the seconds of each time.
  // The ids depend on `seed`. kCancelled if `stop` says so.
  Result<std::vector<double>> Run(uint64_t seed, const StopCheck& stop);

 private:
  TimedEncoder(engine::LoadedModel& model, std::unique_ptr<engine::ModelRunner> runner,
               const model::EncoderLimits& limits, std::vector<int64_t> lengths)
      : model_(&model), runner_(std::move(runner)), limits_(limits), lengths_(std::move(lengths)) {}
  void FillPasses(uint64_t seed);
  Status RunOnce();
  Result<std::vector<double>> RunFor(const StopCheck& stop);

  engine::LoadedModel* model_;
  std::unique_ptr<engine::ModelRunner> runner_;
  model::EncoderLimits limits_;
  std::vector<int64_t> lengths_;
  std::vector<engine::RunnerStep> passes_;
  engine::EncodeNumbers numbers_;  // of a pass
};

}  // namespace dray::bench
