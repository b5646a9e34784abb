// What the ranks of a layout send to each other (docs/ranks.md has the plan of it), and how long
// that takes.
#pragma once

#include "plan/cost/layout.h"
#include "plan/cost/pass.h"
#include "plan/devices/devices.h"
#include "plan/shape/model_shape.h"

namespace dray::plan {

// Bytes that each rank gives; zero where nothing is sent. Of models with an encoder: the decoder's.
struct Traffic {
  double layer = 0;   // to the sums of one layer, for a token
  double token = 0;   // to all sums of a token in the first stage, that of the token table included
  double logits = 0;  // to the gather of a row of logits
  double stage = 0;   // to the next stage, for a token
};

Traffic TrafficOf(const ShapeFacts& facts, const Degrees& degrees);

// The time that a pass spends on links in one stage, in seconds.
double LinkSeconds(const ShapeFacts& facts, const Layout& layout, const Machines& machines,
                   int64_t stage, const Pass& pass);

}  // namespace dray::plan
