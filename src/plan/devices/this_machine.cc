#include "plan/devices/this_machine.h"

#include <algorithm>
#include <cstring>
#include <thread>
#include <vector>

#include "base/machine/cpu_info.h"
#include "base/machine/memory_info.h"
#include "bench/machine/product_bandwidth.h"
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
constexpr int kSums = 32;  // of a round
constexpr int kRounds = 7;

// Seconds of a sum of `count` numbers over two ranks, each of them on a thread of its own: the median of the rounds.
Result<double> SecondsOfSum(int64_t count) {
  DRAY_ASSIGN_OR_RETURN(const auto group,
                        parallel::MakeThreadGroup({.world = kWorld, .max_count = count}));
  std::vector<std::vector<float>> streams(kWorld, std::vector<float>(static_cast<size_t>(count)));
  const auto run = [&](size_t rank) -> Status {
    std::vector<float>& stream = streams[rank];
    for (int i = 0; i < kSums; ++i) {
      std::memset(group[rank]->part(), 0, stream.size() * sizeof(float));
      DRAY_RETURN_IF_ERROR(group[rank]->AddParts(stream.data(), count));
    }
    return OkStatus();
  };
  std::vector<double> seconds;
  for (int round = 0; round < kRounds; ++round) {
    std::vector<Status> results(kWorld);
    const bench::Stopwatch watch;
    {
      std::vector<std::jthread> ranks;
      for (size_t rank = 0; rank < kWorld; ++rank) {
        ranks.emplace_back([&, rank] { results[rank] = run(rank); });
      }
    }
    seconds.push_back(watch.Seconds() / kSums);
    for (const Status& result : results) DRAY_RETURN_IF_ERROR(result);
  }
  return bench::Median(seconds);
}

// What one thread reads: the best of three passes, as in MachineLimits::Sample.
double LoneReadBandwidth() {
  bench::MachineLimits limits(1);
  double best = 0;
  for (int i = 0; i < 3; ++i) best = std::max(best, limits.ReadBandwidth());
  return best;
}

Result<double> MeasureProducts(int num_threads, const kernels::WeightForm& form) {
  DRAY_ASSIGN_OR_RETURN(auto products, bench::ProductBandwidth::Make(num_threads, form));
  return products.MeasureBest();
}

}  // namespace

Result<Link> MeasureSums() {
  Link link;
  DRAY_ASSIGN_OR_RETURN(link.seconds, SecondsOfSum(kSmallSum));
  DRAY_ASSIGN_OR_RETURN(const double large, SecondsOfSum(kLargeSum));
  // Two ranks send each number once to each other.
  constexpr double kLargeBytes = static_cast<double>(kLargeSum) * sizeof(float);
  link.bytes_per_second = kLargeBytes / large;
  return link;
}

Host MachineWith(const MachineFigures& figures, int64_t num_devices) {
  const bench::LimitsSample& limits = figures.limits;
  Host host;
  host.name = "this machine";
  host.source = "measured";
  host.sharing = Sharing::kOneDevice;
  host.num_devices = num_devices;
  host.device.name = CpuModelName();
  host.device.source = "measured";
  host.device.memory_bytes = static_cast<double>(AvailableMemoryBytes());
  host.device.peak = limits;
  const bool has_faster_nibbles = limits.int4 > kSameRate * limits.int8;
  const double byte_share = has_faster_nibbles ? kProcessorByteShare : kProcessorIntegerShare;
  const double nibble_share = has_faster_nibbles ? kProcessorNibbleShare : kProcessorIntegerShare;
  host.device.sustained = {.read_bandwidth = kProductShare * figures.product_bandwidth,
                           .f32 = kProcessorFloatShare * limits.f32,
                           .bf16 = kProcessorFloatShare * limits.bf16,
                           .int8 = byte_share * limits.int8,
                           .int4 = nibble_share * limits.int4};
  host.link = figures.sums;
  return host;
}

Result<Host> MeasureThisMachine(int num_threads, const kernels::WeightForm& form) {
  const int64_t num_devices = num_threads > 0 ? num_threads : UsableCpuCount();
  MachineFigures figures;
  figures.limits = bench::MachineLimits(num_threads).TypicalSample();
  DRAY_ASSIGN_OR_RETURN(figures.product_bandwidth, MeasureProducts(num_threads, form));
  if (num_devices == 1) return MachineWith(figures, num_devices);
  DRAY_ASSIGN_OR_RETURN(figures.sums, MeasureSums());
  Host host = MachineWith(figures, num_devices);
  host.lone_read_bandwidth = LoneReadBandwidth();
  return host;
}

}  // namespace dray::plan
