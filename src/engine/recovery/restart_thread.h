// Does restarts of runners on a thread, so that the engine's own thread goes on to take requests
// and cancellations.
//
// Threads: owns one during a restart. All functions are called by the engine's thread, but `notify`
// by the restart's.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "base/status.h"
#include "engine/recovery/runner_keeper.h"
#include "engine/runner/model_runner.h"

namespace dray::engine {

class RestartThread {
 public:
  using Made = Result<std::unique_ptr<ModelRunner>>;

  // Calls `notify` whenever a result has come.
  explicit RestartThread(std::function<void()> notify) : notify_(std::move(notify)) {}

  // Begins a restart; there must be none under way.
  void Start(RunnerRestart restart);
  // Returns whether a result has come. May be called from any thread.
  bool done() const;
  // Returns the result of a restart that is done.
  Made Take();
  // Ends the wait before a restart, and waits for one that has begun to make its runner.
  void Stop() { thread_ = {}; }

 private:
  void Put(Made made);

  const std::function<void()> notify_;
  mutable std::mutex mutex_;
  std::optional<Made> made_;  // guarded by mutex_
  std::jthread thread_;
};

}  // namespace dray::engine
