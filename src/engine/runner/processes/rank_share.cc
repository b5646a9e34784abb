#include "engine/runner/processes/rank_share.h"

#include <sched.h>

#include <algorithm>
#include <vector>

#include "base/machine/cpu_info.h"
#include "base/machine/cpu_topology.h"

namespace dray::engine {

void TakeShare(int64_t rank, int64_t world, const ProcessorShare& share, kernels::CpuOptions& cpu) {
  const int64_t parts = share.count * world;
  const int64_t part = share.index * world + rank;
  const auto of_part = [&](int threads) {
    return static_cast<int>(std::max<int64_t>(1, threads / parts));
  };
  cpu.num_threads = of_part(cpu.num_threads > 0 ? cpu.num_threads : UsableCpuCount());
  if (cpu.num_prompt_threads > 0) cpu.num_prompt_threads = of_part(cpu.num_prompt_threads);
  if (!cpu.pin_threads) return;
  std::vector<int> cpus;
  for (const auto& node : CpusByNode(AllowedCpus())) {
    cpus.insert(cpus.end(), node.begin(), node.end());
  }
  const auto count = static_cast<int64_t>(cpus.size());
  cpu_set_t set;
  CPU_ZERO(&set);
  if (parts > count) {
    CPU_SET(cpus[static_cast<size_t>(part % count)], &set);
  } else {
    for (int64_t i = count * part / parts; i < count * (part + 1) / parts; ++i) {
      CPU_SET(cpus[static_cast<size_t>(i)], &set);
    }
  }
  // If the system refuses, the rank computes wherever it is put.
  ::sched_setaffinity(0, sizeof(set), &set);
}

}  // namespace dray::engine
