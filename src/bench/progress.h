// Shows on standard error how far a benchmark has come: on a terminal one line that changes,
// elsewhere a line for each run.
#pragma once

#include <cstdio>
#include <string>

#include "bench/machine_limits.h"

namespace dray::bench {

class Progress {
 public:
  // `total_cost` is the sum of the costs that Begin will be given.
  Progress(double total_cost, std::FILE* out);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Says what is done now, and estimates the time left from the time that earlier runs took. `cost`
  // is this run's, in any unit that is proportional to time.
  void Begin(const std::string& what, double cost);

 private:
  double total_cost_;
  std::FILE* out_;
  bool is_terminal_;
  bool shown_ = false;
  double done_cost_ = 0;
  double current_cost_ = 0;
  Stopwatch watch_;
};

// "45 s", "3 min 20 s".
std::string HumanSeconds(double seconds);

}  // namespace dray::bench
