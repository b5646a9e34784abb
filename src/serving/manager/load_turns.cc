#include "serving/manager/load_turns.h"

#include <algorithm>

namespace dray::serving {

Result<LoadTurns::Turn> LoadTurns::Take(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  const uint64_t number = ++last_number_;
  waiting_.push_back(number);
  const bool begins =
      changed_.wait(lock, stop, [&] { return !busy_ && waiting_.front() == number; });
  std::erase(waiting_, number);
  if (begins) {
    busy_ = true;
    return Turn(this);
  }
  changed_.notify_all();
  return Status(StatusCode::kCancelled, "it was unregistered before its turn to be loaded");
}

void LoadTurns::End() {
  {
    const std::lock_guard lock(mutex_);
    busy_ = false;
  }
  changed_.notify_all();
}

}  // namespace dray::serving
