// --devices of dray plan: any text gives machines whose figures are positive and finite, or an error
// that names the flag.
#include <cmath>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "plan/devices/parse_machines.h"

namespace {

using dray::plan::Host;

dray::Result<Host> ThisHost() {
  Host host;
  host.sharing = dray::plan::Sharing::kOneDevice;
  host.num_devices = 2;
  return host;
}

bool IsFigure(double value) { return value > 0 && std::isfinite(value); }

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto machines = dray::plan::ParseMachines(text, ThisHost);
  if (!machines.ok()) {
    DRAY_CHECK(machines.status().message().starts_with("--devices: "));
    return 0;
  }
  DRAY_CHECK(!machines->hosts.empty());
  DRAY_CHECK(machines->num_devices() >= 1);
  DRAY_CHECK(machines->num_devices() <= dray::plan::kMostDevices);
  for (const Host& host : machines->hosts) {
    if (host.sharing == dray::plan::Sharing::kOneDevice) continue;
    DRAY_CHECK(IsFigure(host.device.memory_bytes));
    for (const auto& limits : {host.device.peak, host.device.sustained}) {
      DRAY_CHECK(IsFigure(limits.read_bandwidth) && IsFigure(limits.f32) && IsFigure(limits.bf16));
      DRAY_CHECK(IsFigure(limits.f16) && IsFigure(limits.int8));
    }
  }
  return 0;
}
