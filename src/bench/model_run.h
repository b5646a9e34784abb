// Runs random prompts through a model, all at once, and notes the time of every step; `dray bench`
// consists of such runs. They use the engine directly: no text, no queue. Steps run on a thread that keeps
// to its processor as a server's engine thread does; otherwise the system may put that thread and
// another rank on one processor.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/status.h"
#include "engine/engine_core.h"
#include "engine/runner/loaded_model.h"
#include "kernels/backend.h"

namespace dray::bench {

struct RunShape {
  int64_t sequences = 1;
  int64_t prompt_tokens = 1;
  int64_t new_tokens = 1;
  int64_t num_beams = 1;  // of each sequence; their tokens come all at the end
};

struct RunTimes {
  // From the start until every sequence had its first token.
  double prompt_seconds = 0;
  double total_seconds = 0;
  // The time of each step in which every sequence got one more token and no prompt was read.
  std::vector<double> decode_steps;
  // [n - 1] is the time from the start until every sequence had its n-th token.
  std::vector<double> token_times;
  // [i] is the time from the start until sequence i had its last token.
  std::vector<double> sequence_times;
};

// Returns true if the run shall end, e.g. because of Ctrl-C.
using StopCheck = std::function<bool()>;

// An engine for runs of one shape. All its runs use the same memory, so only the first one touches
// new pages.
class TimedEngine {
 public:
  // `model` must outlive this object. Fails if the shape does not fit the model or the memory.
  static Result<TimedEngine> Make(engine::LoadedModel& model, const engine::EngineOptions& options,
                                  const RunShape& shape);

  // Generates greedily from random token ids, which depend on `seed`; end tokens do not end a
  // sequence. kCancelled if `stop` says so.
  Result<RunTimes> Run(uint64_t seed, const StopCheck& stop);
  // The size of one token's cache entries.
  double kv_token_bytes() const { return kv_token_bytes_; }

 private:
  TimedEngine(std::unique_ptr<engine::EngineCore> core, std::shared_ptr<kernels::Backend> backend,
              const RunShape& shape, double kv_token_bytes)
      : core_(std::move(core)),
        backend_(std::move(backend)),
        shape_(shape),
        kv_token_bytes_(kv_token_bytes) {}
  Result<RunTimes> RunSteps(uint64_t seed, const StopCheck& stop);

  std::unique_ptr<engine::EngineCore> core_;
  std::shared_ptr<kernels::Backend>
      backend_;  // of the first rank, which computes on the engine's thread
  RunShape shape_;
  double kv_token_bytes_;
  uint64_t next_id_ = 1;
};

}  // namespace dray::bench
