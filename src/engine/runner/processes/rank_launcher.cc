#include "engine/runner/processes/rank_launcher.h"

namespace dray::engine {
namespace {

// A later start may find the files no longer in the page cache, which makes it slower by about this factor: disks
// read a tenth of what memory gives.
constexpr int kLongestLaterStart = 10;

}  // namespace

RankLauncher::RankLauncher(LoadModelOptions options, std::unique_ptr<RankProcesses> started)
    : options_(std::move(options)), processes_(std::move(started)) {
  if (processes_ != nullptr) LimitLaterStarts();
}

Status RankLauncher::Start() {
  DRAY_ASSIGN_OR_RETURN(processes_, RankProcesses::Start(options_, longest_start_));
  if (longest_start_.count() == 0) LimitLaterStarts();
  // Later starts are no part of the load that the caller shows and may stop.
  options_.progress = nullptr;
  options_.stop = {};
  return OkStatus();
}

void RankLauncher::LimitLaterStarts() {
  longest_start_ = kLongestLaterStart * processes_->start_time() + options_.ranks.timeout;
}

Result<std::unique_ptr<RankProcesses>> RankLauncher::Take() {
  if (processes_ == nullptr) DRAY_RETURN_IF_ERROR(Start());
  return std::move(processes_);
}

}  // namespace dray::engine
