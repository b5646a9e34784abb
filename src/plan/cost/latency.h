// How long prompts and new tokens take on a layout. A pass of a rank takes the time for its bytes or
// that for its products, whichever is longer, at what the device sustains; a stage takes as long as
// its slowest rank, and the time on its links.
#pragma once

#include <vector>

#include "plan/cost/layout.h"
#include "plan/cost/pass.h"
#include "plan/cost/workload.h"
#include "plan/devices/devices.h"
#include "plan/shape/model_shape.h"

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

struct LatencyInputs {
  const ShapeFacts& facts;
  const Machines& machines;
  const Layout& layout;
  // [stage][rank of the stage]
  const std::vector<std::vector<RankShare>>& shares;
  const Formats& formats;
  const Workload& workload;
};

Latency LatencyOf(const LatencyInputs& inputs);

// How a host stores matrices.
Packing PackingOf(const Host& host);

}  // namespace dray::plan
