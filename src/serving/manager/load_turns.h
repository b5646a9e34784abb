// Loads of models take turns, in the order in which they asked: each takes all processors and as much
// memory as there is.
//
// Threads: any.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <stop_token>
#include <utility>

#include "base/status.h"

namespace dray::serving {

class LoadTurns {
 public:
  // Ends with this object, which must not outlive the LoadTurns. Movable.
  class Turn {
   public:
    Turn(Turn&& other) noexcept : turns_(std::exchange(other.turns_, nullptr)) {}
    Turn& operator=(Turn&&) = delete;
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    ~Turn() {
      if (turns_ != nullptr) turns_->End();
    }

   private:
    friend class LoadTurns;
    explicit Turn(LoadTurns* turns) : turns_(turns) {}
    LoadTurns* turns_;
  };
  // Waits until no other load is under way. kCancelled if `stop` asks to end before.
  Result<Turn> Take(const std::stop_token& stop);

 private:
  void End();

  std::mutex mutex_;
  std::condition_variable_any changed_;
  uint64_t last_number_ = 0;
  std::deque<uint64_t> waiting_;  // the numbers of loads, in the order in which they asked
  bool busy_ = false;
};

}  // namespace dray::serving
