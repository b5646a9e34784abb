// How long a stage needs for a pass: as long as its slowest rank, which takes the time for its bytes or that for its
// products, whichever is longer, at what the device sustains; and the time on the stage's links.
#pragma once

#include <cstdint>
#include <vector>

#include "bench/pass_cost.h"
#include "plan/cost/layout.h"
#include "plan/cost/pass.h"
#include "plan/cost/workload.h"
#include "plan/devices/devices.h"
#include "plan/shape/model_shape.h"

namespace dray::plan {

struct LatencyInputs {
  const ShapeFacts& facts;
  const Machines& machines;
  const Layout& layout;
  // [stage][rank of the stage]
  const std::vector<std::vector<RankShare>>& shares;
  const Formats& formats;
  const Workload& workload;
};

struct StageTime {
  double seconds = 0;
  double link_seconds = 0;  // of `seconds`
  // At the device's peak and with links that cost nothing.
  double floor_seconds = 0;
  bench::Bound bound = bench::Bound::kMemory;
};

// The time of a pass in one stage while `busy` stages compute, this one counted. Stages of one machine share its
// memory, so a stage reads faster while others wait.
StageTime TimeOf(const LatencyInputs& inputs, int64_t stage, const Pass& pass, int64_t busy);

// How a host stores matrices.
Packing PackingOf(const Host& host);

}  // namespace dray::plan
