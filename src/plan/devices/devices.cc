#include "plan/devices/devices.h"

#include <algorithm>

namespace dray::plan {

int64_t Machines::num_devices() const {
  int64_t count = 0;
  for (const Host& host : hosts) count += host.num_devices;
  return count;
}

int64_t Machines::most_in_host() const {
  int64_t most = 0;
  for (const Host& host : hosts) most = std::max(most, host.num_devices);
  return most;
}

bench::LimitsSample Sustained(const bench::LimitsSample& peak) {
  return {.read_bandwidth = kMemoryShare * peak.read_bandwidth,
          .f32 = kArithmeticShare * peak.f32,
          .bf16 = kArithmeticShare * peak.bf16,
          .int8 = kArithmeticShare * peak.int8,
          .int4 = kArithmeticShare * peak.int4,
          .f16 = kArithmeticShare * peak.f16};
}

}  // namespace dray::plan
