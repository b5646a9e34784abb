#include "plan/cost/layout.h"

#include <algorithm>

namespace dray::plan {

int64_t Layout::stages_on(size_t host) const {
  return std::count(stage_hosts.begin(), stage_hosts.end(), host);
}

Layout PlaceStages(const Degrees& degrees, const Machines& machines) {
  Layout layout;
  layout.degrees = degrees;
  int64_t left = degrees.pipeline;
  for (size_t host = 0; host < machines.hosts.size() && left > 0; ++host) {
    // The hosts that are left take equal shares of the stages that are left, as far as they have room.
    const auto hosts_left = static_cast<int64_t>(machines.hosts.size() - host);
    const int64_t room = machines.hosts[host].num_devices / degrees.tensor;
    const bool all_alike = std::all_of(
        machines.hosts.begin(), machines.hosts.end(),
        [&](const Host& other) { return other.num_devices == machines.hosts[host].num_devices; });
    const int64_t wanted = all_alike ? (left + hosts_left - 1) / hosts_left : left;
    const int64_t here = std::min(room, wanted);
    layout.stage_hosts.insert(layout.stage_hosts.end(), static_cast<size_t>(here), host);
    left -= here;
  }
  return layout;
}

double ShareOfHost(const Layout& layout, const Machines& machines, size_t host) {
  if (machines.hosts[host].sharing == Sharing::kOwnDevices) return 1;
  return 1.0 / static_cast<double>(layout.degrees.tensor * layout.stages_on(host));
}

}  // namespace dray::plan
