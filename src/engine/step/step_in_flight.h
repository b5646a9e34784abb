// What the engine keeps of a step while the runner computes it.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/ids.h"
#include "engine/runner/model_runner.h"
#include "scheduler/plan.h"

namespace dray::engine {

// A row whose logits are wanted. It predicts the token at `position + 1` of a sequence.
struct WantedRow {
  SequenceId id;
  int64_t position = 0;
  int32_t row = 0;  // of the batch
  // The index of the result that the new token goes into; there is one result for each plan entry
  // that samples. None if the next token is a prompt token, whose log-probability is wanted.
  std::optional<int32_t> result_idx = {};
};

// The memory is used again for later steps, so that a warm step allocates nothing.
struct StepInFlight {
  const scheduler::Plan* plan = nullptr;
  RunnerStep input;
  std::vector<WantedRow> wanted;  // parallel to input.logit_rows
  double guess_seconds = 0;       // that guessing its tokens took
};

}  // namespace dray::engine
