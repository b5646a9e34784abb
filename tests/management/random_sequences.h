// Random sequences of management calls on a real server, while clients ask its models all the time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace dray::testing {

struct SequenceResult {
  int64_t answered = 0;  // requests with the right text
  int64_t refused = 0;   // requests that were refused, since there was no model or no place
  // One sentence for each thing that went wrong: a request without an answer or with a wrong one, a
  // call with an unexpected status, or threads and descriptors that are left at the end.
  std::vector<std::string> problems;
};

// The same `seed` gives the same calls; how they meet the requests is up to the machine.
SequenceResult RunRandomSequence(uint32_t seed, int num_calls);

}  // namespace dray::testing
