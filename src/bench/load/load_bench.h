// A server under several levels of load, as a report.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "bench/load/load_level.h"
#include "bench/report/report.h"

namespace dray::bench {

struct LoadOptions {
  LoadTarget target;
  std::vector<int64_t> clients = {1, 4, 8, 16};  // closed loops, one level for each
  std::vector<double> rates;                     // open loops instead, if there are any
  int64_t requests = 0;  // of each level; 0: four for each client, or twenty with a rate
  double seconds = 0;    // of each level; 0: until all requests are sent
  int64_t warm_up = 1;   // requests before the first level
  std::vector<std::string> prompts;
  uint64_t seed = 1;
  StopCheck stop = nullptr;
};

// Errors: no request of the warm-up was answered, with what the first one met.
Result<Report> RunLoad(const LoadOptions& options);

}  // namespace dray::bench
