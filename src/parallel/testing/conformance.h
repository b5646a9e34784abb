// What every communicator must do, whatever is behind it: a list of cases. Each rank of a group runs
// a case and finds out by itself whether its results are right, bit by bit: all numbers follow from
// the rank and the call, so each rank can compute what the others contribute.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "parallel/communicator.h"

namespace dray::parallel {

// max_count() of the groups that run the cases.
inline constexpr int64_t kConformanceMaxCount = 100'000;

struct ConformanceCase {
  const char* name;
  // Empty if the rank's results are right, else what is wrong.
  std::string (*run)(Communicator& rank);
};

std::span<const ConformanceCase> ConformanceCases();
// Null if there is no case of that name.
const ConformanceCase* FindConformanceCase(std::string_view name);

}  // namespace dray::parallel
