// What this process takes of the machine.
#pragma once

#include <cstdint>

namespace dray {

struct ProcessUsage {
  // Processor time of all threads since the process began.
  double cpu_seconds = 0;
  // 0 if the kernel does not say.
  int64_t resident_bytes = 0;
  int64_t open_files = 0;
};

// Reads the numbers anew. Needs one descriptor for a moment; without any left, open_files is 0.
ProcessUsage MeasureProcess();

}  // namespace dray
