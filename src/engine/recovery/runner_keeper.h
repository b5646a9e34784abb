// Keeps the runner of an engine: has it made, and has another one made when it has failed.
//
// A failed runner is replaced if it can be (ModelRunner::replaceable), unless that happens too
// often: there are limits to the restarts within an hour, and to those in a row between which no
// request advanced. Then the keeper gives up, and the engine with it.
//
// The keeper has no thread. It hands out the job of a restart, which takes long, and takes the
// result (restart_thread.h).
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "base/status.h"
#include "engine/runner/model_runner.h"

namespace dray::engine {

// Makes a runner in place of one that has failed. Must have ended before the engine does.
class RunnerRestart {
 public:
  using Make = std::function<Result<std::unique_ptr<ModelRunner>>()>;

  // `failed` is null if the restart before has failed, too.
  RunnerRestart(std::unique_ptr<ModelRunner> failed, Make make, std::chrono::milliseconds delay)
      : failed_(std::move(failed)), make_(std::move(make)), delay_(delay) {}

  // How long to wait before Run: longer after each restart that was of no use.
  std::chrono::milliseconds delay() const { return delay_; }
  // Destroys the failed runner and makes another one, on any thread. Call this once.
  Result<std::unique_ptr<ModelRunner>> Run();

 private:
  std::unique_ptr<ModelRunner> failed_;
  Make make_;
  std::chrono::milliseconds delay_;
};

class RunnerKeeper {
 public:
  using Clock = std::chrono::steady_clock;

  // Restarts in a row between which no request advanced, at most. To find the request whose tokens
  // end every runner takes 3 of them (suspects.h); the others are for ranks that cannot start
  // now, or are killed again while they start.
  static constexpr int64_t kMostInARow = 20;

  explicit RunnerKeeper(int64_t max_restarts_per_hour) : most_per_hour_(max_restarts_per_hour) {}

  // Makes the first runner by `make`, which makes the later ones as well.
  Status Start(RunnerRestart::Make make);

  // Has `notify` called, on any thread, when the runner fails between steps (ModelRunner::OnFailure);
  // also for the later runners.
  void Watch(std::function<void()> notify);

  // Null while there is none: during a restart, and after the keeper has given up.
  ModelRunner* runner() const { return runner_.get(); }
  // Not ok once the keeper has given up.
  const Status& health() const { return health_; }
  bool restarting() const { return runner_ == nullptr && health_.ok(); }

  // The runner has failed. Begins a restart if the runner is replaceable, or else gives up.
  void Lose(const Status& failure, Clock::time_point now);
  // Begins a restart in any case, for callers that have lost nothing with the runner; gives up only if there
  // were too many.
  void Replace(const Status& failure, Clock::time_point now);
  // Returns the job of the restart that has begun, if it was not taken yet.
  std::optional<RunnerRestart> TakeRestart();
  // Takes the result of that job. If it has failed, the next restart begins, or the keeper gives up.
  void Finish(Result<std::unique_ptr<ModelRunner>> made, Clock::time_point now);
  // A request has advanced, or the one that made runners fail has ended.
  void OnProgress() { num_in_a_row_ = 0; }

  // Restarts that have begun, and the seconds that all finished ones took, each from the failure to
  // the new runner.
  uint64_t num_restarts() const { return num_restarts_; }
  double restart_seconds() const { return restart_seconds_; }

 private:
  void BeginRestart(const Status& failure, std::unique_ptr<ModelRunner> failed,
                    Clock::time_point now);
  void GiveUp(const Status& failure, std::string_view why);

  const int64_t most_per_hour_;
  RunnerRestart::Make make_;
  std::function<void()> notify_;  // may be empty
  std::unique_ptr<ModelRunner> runner_;
  Status health_;
  std::optional<RunnerRestart> restart_;  // has begun, and waits for TakeRestart
  Clock::time_point lost_at_;
  std::deque<Clock::time_point> within_hour_;  // when restarts began, the oldest first
  int64_t num_in_a_row_ = 0;
  uint64_t num_restarts_ = 0;
  double restart_seconds_ = 0;
};

}  // namespace dray::engine
