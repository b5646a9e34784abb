#include "engine/runner/processes/rank_share.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>
#include <utility>
#include <vector>

#include "base/machine/cpu_info.h"

namespace dray::engine {
namespace {

struct Part {
  std::vector<int> cpus;
  kernels::CpuOptions options;
};

// What a process gets. A thread of its own is bound to the part's processors, and no other one.
Part PartOf(int64_t rank, int64_t world, const ProcessorShare& share,
            kernels::CpuOptions options = {}) {
  Part part;
  std::thread([&] {
    TakeShare(rank, world, share, options);
    part.cpus = AllowedCpus();
  }).join();
  part.options = options;
  return part;
}

TEST(RankShareTest, ThePartsOfAllRanksOfAllWorkersAreEvenAndApart) {
  const auto all = static_cast<int64_t>(AllowedCpus().size());
  // With one share, with several of one rank, and with several of several ranks.
  for (const auto& [workers, world] : {std::pair<int64_t, int64_t>{1, all}, {all, 1}, {2, 2}}) {
    std::vector<int> seen;
    for (int64_t worker = 0; worker < workers; ++worker) {
      for (int64_t rank = 0; rank < world; ++rank) {
        const Part part = PartOf(rank, world, {.index = worker, .count = workers});
        EXPECT_FALSE(part.cpus.empty());
        seen.insert(seen.end(), part.cpus.begin(), part.cpus.end());
      }
    }
    if (workers * world > all) continue;
    std::sort(seen.begin(), seen.end());
    EXPECT_EQ(seen, AllowedCpus());
  }
}

TEST(RankShareTest, ThreadsAreDividedByTheRanksOfAllWorkers) {
  const auto threads = [](const kernels::CpuOptions& options) {
    return std::pair(options.num_threads, options.num_prompt_threads);
  };
  const kernels::CpuOptions all = {.num_threads = 12, .num_prompt_threads = 8};
  EXPECT_EQ(threads(PartOf(1, 2, {}, all).options), std::pair(6, 4));
  EXPECT_EQ(threads(PartOf(1, 2, {.index = 1, .count = 3}, all).options), std::pair(2, 1));
  EXPECT_EQ(threads(PartOf(0, 8, {.index = 1, .count = 3}, all).options), std::pair(1, 1));
}

TEST(RankShareTest, RanksThatAreNotPinnedKeepAllProcessors) {
  const Part part = PartOf(0, 2, {.index = 1, .count = 2}, {.pin_threads = false});
  EXPECT_EQ(part.cpus, AllowedCpus());
}

}  // namespace
}  // namespace dray::engine
