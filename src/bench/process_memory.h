// How much memory this process has taken at most, and since when.
#pragma once

#include <cstdint>

namespace dray::bench {

// Starts the measurement of the peak anew, where the kernel lets a process do so.
void ResetPeakMemory();
// Bytes resident at most since then, else since the process began.
int64_t PeakMemoryBytes();

}  // namespace dray::bench
