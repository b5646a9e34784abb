// The text that describes machines, as people type it (docs/plan.md has the grammar):
//
//   8x40GiB@1.5TB/s,300TFLOPs,link=600GB/s     eight devices by their figures
//   4xa10g   p4d.24xlarge   this               by name; the machine that dray runs on
//   2*p4d.24xlarge+4xa10g,link=32GB/s          hosts of several kinds
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "plan/devices/devices.h"

namespace dray::plan {

inline constexpr int64_t kMostDevices = 4096;

// Makes the host that the word "this" means.
using ThisHost = std::function<Result<Host>()>;

// kInvalidArgument, naming the part that is wrong and what it must be.
Result<Machines> ParseMachines(std::string_view spec, const ThisHost& this_host);

}  // namespace dray::plan
