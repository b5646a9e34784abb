// Where a benchmark is, on standard error: one line that changes on a terminal, else a line for
// each run.
#pragma once

#include <cstdio>
#include <string>

#include "bench/machine_limits.h"

namespace dray::bench {

class Progress {
 public:
  // `total_cost` of all runs, in the unit of Begin's.
  Progress(double total_cost, std::FILE* out);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Says what is being done now, and how long the rest may take, judged by how long what is done
  // took. `cost`: of this run, in any unit that is proportional to time.
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
