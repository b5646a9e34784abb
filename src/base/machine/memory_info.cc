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

// The number of a line "key   123" of a file.
std::optional<int64_t> ReadLine(const char* path, std::string_view key) {
  std::ifstream file(path);
  for (std::string word; file >> word;) {
    if (word != key) continue;
    int64_t value = 0;
    if (file >> value) return value;
    return std::nullopt;
  }
  return std::nullopt;
}

// Bytes of a line "key   123 kB" of a file in /proc.
std::optional<int64_t> ReadKibLine(const char* path, std::string_view key) {
  const auto kib = ReadLine(path, key);
  return kib ? std::optional(*kib * 1024) : std::nullopt;
}

// What the control group counts of files that were read, such as checkpoints, and that nobody uses now: the
// system takes it back as soon as it is wanted. Versions 2 and 1.
int64_t CgroupFileCache() {
  const auto bytes = ReadLine("/sys/fs/cgroup/memory.stat", "inactive_file");
  if (bytes) return *bytes;
  return ReadLine("/sys/fs/cgroup/memory/memory.stat", "total_inactive_file").value_or(0);
}

// The control group's limit less what it uses; versions 2 and 1.
int64_t CgroupRoom() {
  const int64_t limit = std::min(ReadNumber("/sys/fs/cgroup/memory.max"),
                                 ReadNumber("/sys/fs/cgroup/memory/memory.limit_in_bytes"));
  if (limit == kUnknown) return kUnknown;
  int64_t used = ReadNumber("/sys/fs/cgroup/memory.current");
  if (used == kUnknown) used = ReadNumber("/sys/fs/cgroup/memory/memory.usage_in_bytes");
  if (used == kUnknown) return limit;
  return std::max<int64_t>(0, limit - std::max<int64_t>(0, used - CgroupFileCache()));
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
