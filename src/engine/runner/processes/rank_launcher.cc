#include "engine/runner/processes/rank_launcher.h"

namespace dray::engine {

Status RankLauncher::Start() {
  DRAY_ASSIGN_OR_RETURN(processes_, RankProcesses::Start(options_));
  // Later starts are no part of the load that the caller shows and may stop.
  options_.progress = nullptr;
  options_.stop = {};
  return OkStatus();
}

Result<std::unique_ptr<RankProcesses>> RankLauncher::Take() {
  if (processes_ == nullptr) DRAY_RETURN_IF_ERROR(Start());
  return std::move(processes_);
}

}  // namespace dray::engine
