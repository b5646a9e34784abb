// Facts about this machine's memory, and what this process takes of it.
#pragma once

#include <cstdint>

namespace dray {

// Bytes that this process can still take: what the kernel calls available, or less where the limits
// of its control group leave less. The largest number if neither is known.
int64_t AvailableMemoryBytes();

// Starts the measurement of PeakMemoryBytes anew, where the kernel lets a process do so.
void ResetPeakMemory();
// Bytes resident at most since then, else since the process began; 0 if unknown.
int64_t PeakMemoryBytes();

}  // namespace dray
