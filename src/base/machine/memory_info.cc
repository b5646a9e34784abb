#include "base/machine/memory_info.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

namespace dray {
namespace {

constexpr int64_t kUnknown = std::numeric_limits<int64_t>::max();

int64_t ReadNumber(const char* path) {
  std::ifstream file(path);
  int64_t value = 0;
  return file >> value ? value : kUnknown;
}

// Bytes of a line "key   123 kB" of a file in /proc.
std::optional<int64_t> ReadKibLine(const char* path, std::string_view key) {
  std::ifstream file(path);
  for (std::string word; file >> word;) {
    if (word != key) continue;
    int64_t kib = 0;
    if (file >> kib) return kib * 1024;
    return std::nullopt;
  }
  return std::nullopt;
}

// The control group's limit less what it uses; versions 2 and 1.
int64_t CgroupRoom() {
  const int64_t limit = std::min(ReadNumber("/sys/fs/cgroup/memory.max"),
                                 ReadNumber("/sys/fs/cgroup/memory/memory.limit_in_bytes"));
  if (limit == kUnknown) return kUnknown;
  int64_t used = ReadNumber("/sys/fs/cgroup/memory.current");
  if (used == kUnknown) used = ReadNumber("/sys/fs/cgroup/memory/memory.usage_in_bytes");
  return used == kUnknown ? limit : std::max<int64_t>(0, limit - used);
}

}  // namespace

int64_t AvailableMemoryBytes() {
  const int64_t available = ReadKibLine("/proc/meminfo", "MemAvailable:").value_or(kUnknown);
  return std::min(available, CgroupRoom());
}

void ResetPeakMemory() {
  std::ofstream file("/proc/self/clear_refs");
  file << 5;  // "reset the peak resident set size", proc(5)
}

int64_t PeakMemoryBytes() { return ReadKibLine("/proc/self/status", "VmHWM:").value_or(0); }

}  // namespace dray
