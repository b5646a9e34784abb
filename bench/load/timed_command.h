// Runs a program and notes when its first output came.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"

namespace dray::bench {

struct CommandTimes {
  double first_output_seconds = 0;  // from the start of the process
  double total_seconds = 0;         // until it had ended
};

// argv[0] is the program's path. Fails, with what it printed as errors, if it prints nothing or does not end with 0.
Result<CommandTimes> TimeCommand(const std::vector<std::string>& argv);

}  // namespace dray::bench
