#include "bench/process_memory.h"

#include <fstream>
#include <string>

namespace dray::bench {

void ResetPeakMemory() {
  std::ofstream file("/proc/self/clear_refs");
  file << 5;  // "reset the peak resident set size", proc(5)
}

int64_t PeakMemoryBytes() {
  std::ifstream status("/proc/self/status");
  std::string word;
  int64_t kib = 0;
  while (status >> word) {
    if (word == "VmHWM:") {
      status >> kib;
      break;
    }
  }
  return kib * 1024;
}

}  // namespace dray::bench
