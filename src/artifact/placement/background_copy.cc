#include "artifact/placement/background_copy.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <fstream>
#include <mutex>
#include <sstream>
#include <string>
#include <utility>

#include "artifact/placement/copy_ranges.h"
#include "base/human.h"
#include "base/log.h"
#include "base/machine/memory_info.h"

namespace dray::artifact {
namespace {

// Of ten processors' worth of time, computing threads get nine (sched(7)), so a busy server is hardly slower while it
// copies, and an idle one copies at full speed.
constexpr int kNiceness = 10;

std::string Human(int64_t bytes) { return HumanBytes(static_cast<uint64_t>(bytes)); }

// The addresses of a line "7f00-7f80 r--s ..." of smaps; false for any other line.
bool ReadAddresses(const std::string& line, uintptr_t& begin, uintptr_t& end) {
  const size_t dash = line.find('-'), space = line.find(' ');
  if (dash == std::string::npos || space == std::string::npos || dash > space) return false;
  std::istringstream numbers(line.substr(0, dash) + ' ' + line.substr(dash + 1, space - dash - 1));
  return static_cast<bool>(numbers >> std::hex >> begin >> end);
}

}  // namespace

double HugePageShare(const MappedArtifact& artifact) {
  const std::span<const std::byte> data = artifact.data();
  const auto first = reinterpret_cast<uintptr_t>(data.data());
  std::ifstream smaps("/proc/self/smaps");
  if (!smaps) return 1;
  int64_t huge_kib = 0;
  bool is_inside = false;
  for (std::string line; std::getline(smaps, line);) {
    uintptr_t begin = 0, end = 0;
    if (ReadAddresses(line, begin, end)) {
      is_inside = begin >= first && begin < first + data.size();
    } else if (is_inside &&
               (line.starts_with("FilePmdMapped:") || line.starts_with("ShmemPmdMapped:") ||
                line.starts_with("AnonHugePages:"))) {
      int64_t kib = 0;
      std::istringstream(line.substr(line.find(':') + 1)) >> kib;
      huge_kib += kib;
    }
  }
  return std::min(1.0, static_cast<double>(huge_kib) * 1024 / static_cast<double>(data.size()));
}

Result<std::unique_ptr<BackgroundCopy>> BackgroundCopy::Start(
    std::shared_ptr<const MappedArtifact> artifact, const BackgroundCopyOptions& options) {
  DRAY_ASSIGN_OR_RETURN(DataMemory memory,
                        DataMemory::Open(std::move(artifact), ReadThrough::kCache));
  std::unique_ptr<BackgroundCopy> copy(new BackgroundCopy(std::move(memory), options));
  DRAY_RETURN_IF_ERROR(copy->thread_.Start("to copy weights into huge pages", [copy = copy.get()] {
    copy->Work(copy->stop_.get_token());
  }));
  return copy;
}

BackgroundCopy::~BackgroundCopy() { stop_.request_stop(); }

void BackgroundCopy::Work(const std::stop_token& stop) {
  ::setpriority(PRIO_PROCESS, 0, kNiceness);  // Linux: of this thread alone
  WaitBefore(stop);
  if (stop.stop_requested()) return;
  const double share = HugePageShare(memory_.artifact());
  if (share < options_.huge_share_that_does) return Copy(stop);
  LogInfo(fmt::format("{}: the weights stay mapped: {:.0f} % of them are in huge pages",
                      memory_.artifact().DataPath(), 100 * share));
}

void BackgroundCopy::WaitBefore(const std::stop_token& stop) const {
  std::mutex mutex;
  std::unique_lock lock(mutex);
  std::condition_variable_any stopped;
  stopped.wait_for(lock, stop, options_.delay, [&] { return stop.stop_requested(); });
}

void BackgroundCopy::Copy(const std::stop_token& stop) {
  const auto start = std::chrono::steady_clock::now();
  const auto size = static_cast<int64_t>(memory_.artifact().data().size());
  const auto after_piece = [&](int64_t bytes) -> Status {
    copied_bytes_ += bytes;
    if (AvailableMemoryBytes() >= options_.leave_free_bytes) return OkStatus();
    return {StatusCode::kResourceExhausted, "memory is short"};
  };
  const Status status =
      CopyRanges(memory_, {{0, size}}, {.stop = stop, .after_piece = after_piece});
  if (stop.stop_requested()) return;
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  LogInfo(fmt::format("{}: {} of {} of mapped weights were copied into huge pages in {:.1f} s{}",
                      memory_.artifact().DataPath(), Human(copied_bytes_), Human(size),
                      elapsed.count(),
                      status.ok() ? "" : "; the rest stays mapped: " + status.message()));
}

}  // namespace dray::artifact
