#include "engine/recovery/runner_keeper.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <string_view>
#include <utility>

#include "base/log.h"

namespace dray::engine {
namespace {

// The wait before the third restart in a row. It doubles with each further one, up to the longest:
// a minute in all, in which a host that is short of memory or cut off may come back.
constexpr std::chrono::milliseconds kFirstDelay{250};
constexpr std::chrono::milliseconds kLongestDelay{4000};

std::chrono::milliseconds DelayOf(int64_t num_in_a_row) {
  if (num_in_a_row <= 2) return std::chrono::milliseconds(0);
  return std::min(kLongestDelay, kFirstDelay * (1 << (num_in_a_row - 3)));
}

}  // namespace

Result<std::unique_ptr<ModelRunner>> RunnerRestart::Run() {
  failed_.reset();
  try {
    return make_();
  } catch (const std::exception& error) {
    return Status(StatusCode::kInternal, error.what());
  }
}

Status RunnerKeeper::Start(RunnerRestart::Make make) {
  make_ = std::move(make);
  DRAY_ASSIGN_OR_RETURN(runner_, make_());
  return OkStatus();
}

void RunnerKeeper::Watch(std::function<void()> notify) {
  notify_ = std::move(notify);
  if (runner_ != nullptr) runner_->OnFailure(notify_);
}

void RunnerKeeper::Lose(const Status& failure, Clock::time_point now) {
  if (runner_->replaceable()) return Replace(failure, now);
  GiveUp(failure, "it cannot be started again");
  runner_.reset();
}

void RunnerKeeper::Replace(const Status& failure, Clock::time_point now) {
  lost_at_ = now;
  BeginRestart(failure, std::move(runner_), now);
}

void RunnerKeeper::BeginRestart(const Status& failure, std::unique_ptr<ModelRunner> failed,
                                Clock::time_point now) {
  while (!within_hour_.empty() && now - within_hour_.front() >= std::chrono::hours(1)) {
    within_hour_.pop_front();
  }
  if (static_cast<int64_t>(within_hour_.size()) >= most_per_hour_) {
    return GiveUp(failure, fmt::format("max_restarts_per_hour allows {} restarts", most_per_hour_));
  }
  if (num_in_a_row_ >= kMostInARow) {
    return GiveUp(failure, fmt::format("{} restarts in a row were of no use", kMostInARow));
  }
  within_hour_.push_back(now);
  ++num_in_a_row_;
  ++num_restarts_;
  restart_.emplace(std::move(failed), make_, DelayOf(num_in_a_row_));
  LogError(fmt::format(
      "the model's runner failed: {}; starting another one, which is restart {} of at most {} "
      "within an hour; requests wait meanwhile",
      failure.ToString(), within_hour_.size(), most_per_hour_));
}

void RunnerKeeper::GiveUp(const Status& failure, std::string_view why) {
  LogError(fmt::format("the model's runner failed: {}; {}", failure.ToString(), why));
  health_ = {StatusCode::kUnavailable,
             fmt::format("the model's runner has failed ({}): load the model anew, or restart the "
                         "server",
                         failure.message())};
}

std::optional<RunnerRestart> RunnerKeeper::TakeRestart() {
  return std::exchange(restart_, std::nullopt);
}

void RunnerKeeper::Finish(Result<std::unique_ptr<ModelRunner>> made, Clock::time_point now) {
  if (!made.ok()) {
    BeginRestart(made.status().WithPrefix("starting it again"), nullptr, now);
    return;
  }
  runner_ = std::move(*made);
  runner_->OnFailure(notify_);
  const std::chrono::duration<double> seconds = now - lost_at_;
  restart_seconds_ += seconds.count();
  LogInfo(
      fmt::format("the model has a new runner after {:.2f} s; requests go on", seconds.count()));
}

}  // namespace dray::engine
