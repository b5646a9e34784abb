// Which degrees come into question, and which of them cannot be, whatever the memory.
#pragma once

#include <string>
#include <vector>

#include "plan/cost/layout.h"
#include "plan/devices/devices.h"
#include "plan/shape/model_shape.h"

namespace dray::plan {

struct DegreeLists {
  std::vector<int64_t> tensor;    // empty: those that suit the machines
  std::vector<int64_t> pipeline;  // the same
};

// Pairs in ascending order. Without a list, tensor degrees are those that the runtime allows, or the
// powers of two and the whole of a host; pipelines have one stage, one for each host, or as many as
// there are devices for.
std::vector<Degrees> Candidates(const ShapeFacts& facts, const Machines& machines,
                                const DegreeLists& lists);

// Why these degrees cannot be: too few devices, heads or layers, or a rule of the runtime. Empty if
// they can.
std::vector<std::string> ReasonsAgainst(const Degrees& degrees, const ShapeFacts& facts,
                                        const Machines& machines);

}  // namespace dray::plan
