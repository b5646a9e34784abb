// Kills ranks of jobs that a user has started by mpirun, behind deploy/group/serve-group, and takes the time
// until all of the job has ended, and until the next job serves.
#pragma once

#include <string>
#include <vector>

namespace dray::ranks {

struct JobLossReport {
  // From the signal until no process of the job is left, mpirun included, in milliseconds.
  std::vector<double> end_ms;
  // From the signal until the server of the next job has answered a request, in milliseconds.
  std::vector<double> serve_ms;
  int num_without_reason = 0;  // losses after which nothing was printed about a rank
  std::string failure;  // what was printed when the servers did not serve any more; "" if they did
};

// Runs jobs of two ranks of the demo model, and kills one of the ranks so often, in turn.
JobLossReport LoseUserJobs(const std::string& program, int num_kills);

}  // namespace dray::ranks
