// `dray partition`: writes a model as an artifact.
#pragma once

#include <iosfwd>
#include <string>

#include "cli/flags/flags.h"
#include "cli/model_options.h"

namespace dray::cli {

struct PartitionArguments {
  ModelArguments model;
  std::string output;  // "": the setting save_mp_checkpoint_path
};

void AddPartitionOptions(Command command, PartitionArguments& arguments);

// Returns the exit code. The caller has blocked the signals that end the process (serve/shutdown.h): one of them
// ends the writing, and nothing of the artifact is left.
int RunPartition(const PartitionArguments& arguments, std::ostream& out, std::ostream& err);

}  // namespace dray::cli
