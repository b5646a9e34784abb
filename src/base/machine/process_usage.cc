#include "base/machine/process_usage.h"

#include <unistd.h>

#include <ctime>
#include <filesystem>
#include <fstream>
#include <system_error>

namespace dray {
namespace {

double CpuSeconds() {
  constexpr double kNanosecondsPerSecond = 1e9;
  timespec time = {};
  if (::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) != 0) return 0;
  return static_cast<double>(time.tv_sec) +
         static_cast<double>(time.tv_nsec) / kNanosecondsPerSecond;
}

// The second number of /proc/self/statm: pages in memory.
int64_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  int64_t size_pages = 0;
  int64_t resident_pages = 0;
  if (!(file >> size_pages >> resident_pages)) return 0;
  return resident_pages * ::sysconf(_SC_PAGESIZE);
}

// The descriptor by which the folder is read is among those that are counted, so it is taken off.
int64_t OpenFiles() {
  std::error_code error;
  const std::filesystem::directory_iterator files("/proc/self/fd", error);
  if (error) return 0;
  int64_t count = -1;
  for (auto file = files; file != std::filesystem::directory_iterator(); file.increment(error)) {
    ++count;
  }
  return count;
}

}  // namespace

ProcessUsage MeasureProcess() {
  return {
      .cpu_seconds = CpuSeconds(), .resident_bytes = ResidentBytes(), .open_files = OpenFiles()};
}

}  // namespace dray
