// Runs random sequences of management calls under load:
//   management_tool [NUM_SEQUENCES [FIRST_SEED]]
#include <fmt/format.h>
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <vector>

#include "base/parse/parse_number.h"
#include "management/random_sequences.h"

namespace {

// What the allocator keeps for later is a matter of chance. So the least of so many sequences counts.
constexpr size_t kWindow = 20;
// Less than the weights and the cache of one worker of the demo model.
constexpr int64_t kMaxGrowthBytes = int64_t{8} << 20;

int64_t ResidentBytes() {
  ::malloc_trim(0);
  std::ifstream statm("/proc/self/statm");
  int64_t size = 0;
  int64_t resident = 0;
  statm >> size >> resident;
  return resident * ::sysconf(_SC_PAGESIZE);
}

// How much more memory the last sequences left than the first ones did; 0 if there are too few.
int64_t Growth(const std::vector<int64_t>& bytes) {
  if (bytes.size() < 2 * kWindow) return 0;
  return *std::min_element(bytes.end() - kWindow, bytes.end()) -
         *std::min_element(bytes.begin(), bytes.begin() + kWindow);
}

}  // namespace

int main(int argc, char** argv) {
  using dray::ParseInt64;
  const int64_t count = argc > 1 ? ParseInt64(argv[1]).value_or(0) : 200;
  const int64_t first = argc > 2 ? ParseInt64(argv[2]).value_or(1) : 1;
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  int64_t num_problems = 0;
  std::vector<int64_t> bytes;
  for (int64_t i = 0; i < count; ++i) {
    const auto result = dray::testing::RunRandomSequence(static_cast<uint32_t>(first + i), 40);
    bytes.push_back(ResidentBytes());
    fmt::print("seed {}: {} answered, {} refused, {} problems, {} KiB\n", first + i,
               result.answered, result.refused, result.problems.size(), bytes.back() >> 10);
    for (const auto& problem : result.problems) fmt::print("  {}\n", problem);
    num_problems += static_cast<int64_t>(result.problems.size());
  }
  if (const int64_t growth = Growth(bytes); growth > kMaxGrowthBytes) {
    ++num_problems;
    fmt::print("the last {} sequences left {} KiB more than the first ones\n", kWindow,
               growth >> 10);
  }
  fmt::print("{} sequences, {} problems\n", count, num_problems);
  return num_problems == 0 ? 0 : 1;
}
