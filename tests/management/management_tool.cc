// Runs random sequences of management calls under load:
//   management_tool [NUM_SEQUENCES [FIRST_SEED]]
#include <fmt/format.h>

#include <cstdint>

#include "base/parse/parse_number.h"
#include "management/random_sequences.h"

int main(int argc, char** argv) {
  using dray::ParseInt64;
  const int64_t count = argc > 1 ? ParseInt64(argv[1]).value_or(0) : 200;
  const int64_t first = argc > 2 ? ParseInt64(argv[2]).value_or(1) : 1;
  int64_t num_problems = 0;
  for (int64_t seed = first; seed < first + count; ++seed) {
    const auto result = dray::testing::RunRandomSequence(static_cast<uint32_t>(seed), 40);
    fmt::print("seed {}: {} answered, {} refused, {} problems\n", seed, result.answered,
               result.refused, result.problems.size());
    for (const auto& problem : result.problems) fmt::print("  {}\n", problem);
    num_problems += static_cast<int64_t>(result.problems.size());
  }
  return num_problems == 0 ? 0 : 1;
}
