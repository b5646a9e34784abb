#include "plan/cost/stage_time.h"

#include <algorithm>
#include <cstddef>

#include "plan/cost/traffic.h"

namespace dray::plan {
namespace {

// A rank's parts of its host's figures.
struct Shares {
  double arithmetic = 1;
  double bandwidth = 1;
};

bench::LimitsSample Scaled(const bench::LimitsSample& limits, const Shares& shares) {
  const double part = shares.arithmetic;
  return {.read_bandwidth = shares.bandwidth * limits.read_bandwidth,
          .f32 = part * limits.f32,
          .bf16 = part * limits.bf16,
          .int8 = part * limits.int8,
          .int4 = part * limits.int4,
          .f16 = part * limits.f16};
}

// The part of the host's bandwidth that one of its devices has while the others are idle.
double LoneShare(const Host& host) {
  const double equal = 1.0 / static_cast<double>(host.num_devices);
  return std::max(equal, host.lone_read_bandwidth / host.device.peak.read_bandwidth);
}

// The processors of a stage read as much as they can, or what is left for each of the busy stages.
Shares SharesOf(const LatencyInputs& inputs, size_t place, int64_t busy) {
  const Host& host = inputs.machines.hosts[place];
  const double equal = ShareOfHost(inputs.layout, inputs.machines, place);
  if (host.sharing == Sharing::kOwnDevices) return {equal, equal};
  const auto stages = static_cast<double>(inputs.layout.stages_on(place));
  const double most = LoneShare(host) * static_cast<double>(host.num_devices) / stages;
  const double of_busy = 1.0 / std::min(static_cast<double>(busy), stages);
  const auto ranks = static_cast<double>(inputs.layout.degrees.tensor);
  return {equal, std::min(most, of_busy) / ranks};
}

}  // namespace

Packing PackingOf(const Host& host) {
  return host.sharing == Sharing::kOneDevice ? Packing::kPanels : Packing::kPlain;
}

StageTime TimeOf(const LatencyInputs& inputs, int64_t stage, const Pass& pass, int64_t busy) {
  const size_t place = inputs.layout.stage_hosts[static_cast<size_t>(stage)];
  const Host& host = inputs.machines.hosts[place];
  const Shares shares = SharesOf(inputs, place, busy);
  const bench::LimitsSample sustained = Scaled(host.device.sustained, shares);
  const bench::LimitsSample peak = Scaled(host.device.peak, shares);
  StageTime time;
  for (const RankShare& rank : inputs.shares[static_cast<size_t>(stage)]) {
    const bench::PassCost cost = CostOf(rank, pass, inputs.formats, PackingOf(host));
    const bench::Floor expected = FloorOf(cost, sustained);
    if (expected.seconds > time.seconds) {
      time.seconds = expected.seconds;
      time.bound = expected.bound;
    }
    time.floor_seconds = std::max(time.floor_seconds, FloorOf(cost, peak).seconds);
  }
  time.link_seconds = LinkSeconds(inputs.facts, inputs.layout, inputs.machines, stage, pass);
  time.seconds += time.link_seconds;
  return time;
}

}  // namespace dray::plan
