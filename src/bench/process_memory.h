// The most memory that this process has taken since a given moment.
#pragma once

#include <cstdint>

namespace dray::bench {

// From now on PeakMemoryBytes reports a new peak, if the kernel lets a process reset it.
void ResetPeakMemory();
// The most bytes that were resident since the last reset, or since the process began.
int64_t PeakMemoryBytes();

}  // namespace dray::bench
