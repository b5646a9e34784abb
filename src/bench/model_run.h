// Random prompts through a model, all at once, with the time of every step: what the runs of `dray
// bench` are made of. No threads of its own, no text, no queue: the engine as it is.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/status.h"
#include "engine/engine_core.h"
#include "engine/runner/loaded_model.h"

namespace dray::bench {

struct RunShape {
  int64_t sequences = 1;
  int64_t prompt_tokens = 1;
  int64_t new_tokens = 1;
};

struct RunTimes {
  // From the start until every sequence had its first token.
  double prompt_seconds = 0;
  double total_seconds = 0;
  // Of each step in which every sequence got one more token and no prompt was read.
  std::vector<double> decode_steps;
  // From the start until every sequence had its n-th token: n - 1 is the index.
  std::vector<double> token_times;
  // From the start until sequence i had its last token.
  std::vector<double> sequence_times;
};

// Says that the run shall end, e.g. because of Ctrl-C.
using StopCheck = std::function<bool()>;

// An engine for runs of one shape; the runs share it, so that only the first meets cold memory.
class ModelRunner {
 public:
  // `model` must outlive the runner. Errors: the shape does not fit the model or the memory.
  static Result<ModelRunner> Make(engine::LoadedModel& model, const engine::EngineOptions& options,
                                  const RunShape& shape);

  // Prompts of random ids by `seed`, greedy, end tokens ignored. kCancelled if `stop` says so.
  Result<RunTimes> Run(uint64_t seed, const StopCheck& stop);
  // What the cache holds for one token.
  double kv_token_bytes() const { return kv_token_bytes_; }

 private:
  ModelRunner(std::unique_ptr<engine::EngineCore> core, const RunShape& shape,
              double kv_token_bytes)
      : core_(std::move(core)), shape_(shape), kv_token_bytes_(kv_token_bytes) {}

  std::unique_ptr<engine::EngineCore> core_;
  RunShape shape_;
  double kv_token_bytes_;
  uint64_t next_id_ = 1;
};

}  // namespace dray::bench
