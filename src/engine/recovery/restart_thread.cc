#include "engine/recovery/restart_thread.h"

#include <condition_variable>
#include <stop_token>
#include <system_error>
#include <utility>

#include "base/check.h"

namespace dray::engine {
namespace {

// Returns whether the time has passed without a request to stop.
bool Wait(const std::stop_token& stop, std::chrono::milliseconds delay) {
  std::mutex mutex;
  std::condition_variable_any stopped;
  std::unique_lock lock(mutex);
  stopped.wait_for(lock, stop, delay, [] { return false; });
  return !stop.stop_requested();
}

}  // namespace

void RestartThread::Start(RunnerRestart restart) {
  try {
    thread_ =
        std::jthread([this, restart = std::move(restart)](const std::stop_token& stop) mutable {
          if (Wait(stop, restart.delay())) Put(restart.Run());
        });
  } catch (const std::system_error& error) {
    Put(Status(StatusCode::kResourceExhausted, error.what()));
  }
}

void RestartThread::Put(Made made) {
  {
    const std::lock_guard lock(mutex_);
    made_.emplace(std::move(made));
  }
  notify_();
}

bool RestartThread::done() const {
  const std::lock_guard lock(mutex_);
  return made_.has_value();
}

RestartThread::Made RestartThread::Take() {
  const std::lock_guard lock(mutex_);
  DRAY_CHECK(made_.has_value());
  return *std::exchange(made_, std::nullopt);
}

}  // namespace dray::engine
