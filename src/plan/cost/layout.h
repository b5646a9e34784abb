// Which ranks compute a model, and on which hosts: a stage's ranks are on one host.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "parallel/shard.h"
#include "plan/devices/devices.h"

namespace dray::plan {

struct Degrees {
  int64_t tensor = 1;    // ranks of a stage
  int64_t pipeline = 1;  // stages

  int64_t num_ranks() const { return tensor * pipeline; }
  parallel::Rank RankAt(int64_t index) const { return {index, tensor}; }
  parallel::Stage StageAt(int64_t index) const { return {index, pipeline}; }
  bool operator==(const Degrees&) const = default;
};

struct Layout {
  Degrees degrees;
  std::vector<size_t> stage_hosts;  // [stage]: index of the host in Machines

  int64_t stages_on(size_t host) const;
};

// The stages in their order, on the first hosts that have room for all ranks of a stage. Stages are
// divided evenly where all hosts have the same room. Fewer stage_hosts than stages: there is no room
// for more.
Layout PlaceStages(const Degrees& degrees, const Machines& machines);

// The part of its host's figures that a rank has: 1, or less where ranks share one device.
double ShareOfHost(const Layout& layout, const Machines& machines, size_t host);

}  // namespace dray::plan
