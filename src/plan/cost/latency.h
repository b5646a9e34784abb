// How long prompts and new tokens take on a layout, of whose stages stage_time.h says how long they need.
#pragma once

#include "bench/pass_cost.h"
#include "plan/cost/stage_time.h"
#include "plan/cost/workload.h"

namespace dray::plan {

struct PassesTime {
  double seconds = 0;
  double link_seconds = 0;  // of `seconds`, along the way of one sequence
  // The time at the device's peak and with links that cost nothing: no program is faster.
  double floor_seconds = 0;
  bench::Bound bound = bench::Bound::kMemory;  // of the slowest stage
};

struct Latency {
  PassesTime prompt;  // until every sequence has its first token
  PassesTime decode;  // of one more token of every sequence

  // Of one request that runs beside the others of the batch.
  double RequestSeconds(const Workload& workload) const {
    return prompt.seconds + static_cast<double>(workload.new_tokens - 1) * decode.seconds;
  }
};

Latency LatencyOf(const LatencyInputs& inputs);

}  // namespace dray::plan
