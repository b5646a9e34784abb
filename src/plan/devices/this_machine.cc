#include "plan/devices/this_machine.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <thread>
#include <vector>

#include "base/machine/cpu_info.h"
#include "base/machine/memory_info.h"
#include "bench/machine_limits.h"
#include "bench/statistics.h"
#include "parallel/thread_group.h"

namespace dray::plan {
namespace {

constexpr int64_t kWorld = 2;
// The numbers of a small sum, that of a token in a model of width 4096, and of a large one, which is
// bound by the bytes: a prompt of 256 tokens.
constexpr int64_t kSmallSum = 4096;
constexpr int64_t kLargeSum = 256 * kSmallSum;
// What a rank reads between two sums: half of a feed-forward of such a model in int8, and more than
// a core's own caches hold. The chunks of a rank follow each other in a buffer.
constexpr size_t kChunkBytes = size_t{8} << 20;
constexpr size_t kChunks = 16;
constexpr int kRounds = 7;

std::atomic<uint64_t> sink{0};

void Read(const std::vector<uint64_t>& buffer, size_t chunk) {
  constexpr size_t kWords = kChunkBytes / sizeof(uint64_t);
  uint64_t sums[8] = {};
  const uint64_t* words = buffer.data() + chunk * kWords;
  for (size_t i = 0; i < kWords; i += 8) {
    for (size_t j = 0; j < 8; ++j) sums[j] ^= words[i + j];
  }
  sink = sums[0] ^ sums[1] ^ sums[2] ^ sums[3] ^ sums[4] ^ sums[5] ^ sums[6] ^ sums[7];
}

enum class Work { kReadOnly, kReadAndSum, kSumOnly, kLargeSums };

// Two ranks on threads of their own.
class RankPair {
 public:
  static Result<RankPair> Make() {
    RankPair pair;
    DRAY_ASSIGN_OR_RETURN(pair.group_,
                          parallel::MakeThreadGroup({.world = kWorld, .max_count = kLargeSum}));
    pair.buffers_.assign(kWorld,
                         std::vector<uint64_t>(kChunks * kChunkBytes / sizeof(uint64_t), 1));
    pair.streams_.assign(kWorld, std::vector<float>(kLargeSum, 0.0f));
    return pair;
  }

  // Seconds for each chunk or sum.
  Result<double> Time(Work work) {
    std::vector<Status> results(kWorld);
    const bench::Stopwatch watch;
    {
      std::vector<std::jthread> ranks;
      for (size_t rank = 0; rank < kWorld; ++rank) {
        ranks.emplace_back([&, rank] { results[rank] = Run(rank, work); });
      }
    }
    const double seconds = watch.Seconds();
    for (const Status& result : results) DRAY_RETURN_IF_ERROR(result);
    return seconds / static_cast<double>(kChunks);
  }

 private:
  Status Run(size_t rank, Work work) {
    for (size_t chunk = 0; chunk < kChunks; ++chunk) {
      if (work == Work::kReadOnly || work == Work::kReadAndSum) Read(buffers_[rank], chunk);
      if (work == Work::kReadOnly) continue;
      const int64_t count = work == Work::kLargeSums ? kLargeSum : kSmallSum;
      std::memset(group_[rank]->part(), 0, static_cast<size_t>(count) * sizeof(float));
      DRAY_RETURN_IF_ERROR(group_[rank]->AddParts(streams_[rank].data(), count));
    }
    return OkStatus();
  }

  std::vector<std::unique_ptr<parallel::Communicator>> group_;
  std::vector<std::vector<uint64_t>> buffers_;
  std::vector<std::vector<float>> streams_;
};

struct PairTimes {
  double read = 0;
  double read_and_sum = 0;
  double sum = 0;
  double large_sum = 0;
};

Result<PairTimes> MedianTimes(RankPair& pair) {
  std::vector<double> read, both, sum, large;
  for (int round = 0; round < kRounds; ++round) {
    const auto add = [&](Work work, std::vector<double>& times) -> Status {
      DRAY_ASSIGN_OR_RETURN(const double seconds, pair.Time(work));
      times.push_back(seconds);
      return OkStatus();
    };
    DRAY_RETURN_IF_ERROR(add(Work::kReadOnly, read));
    DRAY_RETURN_IF_ERROR(add(Work::kReadAndSum, both));
    DRAY_RETURN_IF_ERROR(add(Work::kSumOnly, sum));
    DRAY_RETURN_IF_ERROR(add(Work::kLargeSums, large));
  }
  return PairTimes{bench::Median(read), bench::Median(both), bench::Median(sum),
                   bench::Median(large)};
}

}  // namespace

Result<Link> MeasureSums() {
  DRAY_ASSIGN_OR_RETURN(RankPair pair, RankPair::Make());
  DRAY_ASSIGN_OR_RETURN(const PairTimes times, MedianTimes(pair));
  Link link;
  link.seconds = std::max(times.read_and_sum - times.read, times.sum);
  // Two ranks send each number once to each other.
  constexpr double kLargeBytes = static_cast<double>(kLargeSum) * sizeof(float);
  link.bytes_per_second = kLargeBytes / times.large_sum;
  return link;
}

Host MachineWith(const bench::LimitsSample& limits, const Link& sums, int64_t num_devices) {
  Host host;
  host.name = "this machine";
  host.source = "measured";
  host.sharing = Sharing::kOneDevice;
  host.num_devices = num_devices;
  host.device.name = CpuModelName();
  host.device.source = "measured";
  host.device.memory_bytes = static_cast<double>(AvailableMemoryBytes());
  host.device.peak = limits;
  host.device.sustained = {.read_bandwidth = kProcessorMemoryShare * limits.read_bandwidth,
                           .f32 = kProcessorFloatShare * limits.f32,
                           .bf16 = kProcessorFloatShare * limits.bf16,
                           .int8 = kProcessorIntegerShare * limits.int8,
                           .int4 = kProcessorIntegerShare * limits.int4};
  host.link = sums;
  return host;
}

Result<Host> MeasureThisMachine(int num_threads) {
  const int64_t num_devices = num_threads > 0 ? num_threads : UsableCpuCount();
  const bench::LimitsSample limits = bench::MachineLimits(num_threads).Sample();
  Link sums;
  if (num_devices > 1) {
    DRAY_ASSIGN_OR_RETURN(sums, MeasureSums());
  }
  return MachineWith(limits, sums, num_devices);
}

}  // namespace dray::plan
