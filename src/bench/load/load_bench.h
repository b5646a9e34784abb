// Puts a server under several levels of load and reports its answers' times.
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
  std::vector<int64_t> clients = {1, 4, 8, 16};  // closed loops: a level for each number of clients
  std::vector<double> rates;  // if not empty: open loops instead, a level for each rate
  int64_t requests = 0;  // of each level; 0: four for each client, or twenty if there is a rate
  double seconds = 0;    // of each level; 0: until all requests are sent
  int64_t warm_up = 1;   // requests before the first level
  std::vector<std::string> prompts;
  uint64_t seed = 1;
  StopCheck stop = nullptr;
};

// Fails if no request of the warm-up was answered; the message is that of the first error.
Result<Report> RunLoad(const LoadOptions& options);

}  // namespace dray::bench
