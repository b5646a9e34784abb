// Devices and machines that a plan knows by name, with the public figures of their makers.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "plan/devices/devices.h"

namespace dray::plan {

// A host with `count` devices of this name ("a100-40") and the links that such devices have. Nothing
// if the name is unknown.
std::optional<Host> HostOfDevices(std::string_view device, int64_t count);
// A machine by its maker's name ("p4d.24xlarge", also "ml.p4d.24xlarge"). Nothing if unknown.
std::optional<Host> FindMachine(std::string_view name);

// All names, for errors: "a100-40, a100-80, ...".
std::string DeviceNames();
std::string MachineNames();

}  // namespace dray::plan
