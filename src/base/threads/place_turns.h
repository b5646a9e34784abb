// The order in which callers compute on places: those that need a place in common take turns, in the
// order in which they asked.
//
// What a caller computes consists of parts that follow each other closely: the steps of a model that
// serves, or the thousands of short regions of one that is being loaded. A series joins parts into
// turns:
//
// - Steps may go on for some milliseconds. So small models do not spend their time on handing the
//   places to each other.
// - Regions may go on for as long as the turn before them. Otherwise a model that is loaded would wait
//   for a step of every other model before each region. Beside k busy models it has 1 / (k + 1) of the
//   time.
//
// Threads: any.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <vector>

#include "base/threads/work_place.h"

namespace dray {

// The parts that one caller computes.
class TurnSeries {
 public:
  enum class Parts : uint8_t { kSteps, kRegions };
  explicit TurnSeries(Parts parts) : parts_(parts) {}

 private:
  friend class PlaceTurns;
  const Parts parts_;
  // Of the present turn; its last part may end later.
  std::chrono::steady_clock::time_point begin_, end_;
};

class PlaceTurns {
 public:
  using Clock = PlaceTurn::Clock;
  using Places = std::vector<WorkPlace*>;

  // A test may have a clock of its own.
  explicit PlaceTurns(Clock::time_point (*now)() = &Clock::now) : now_(now) {}

  // Sleeps until no other caller uses any of the places, or has them kept, for a part of `series`.
  // Allocates nothing. `series` must live until Return.
  void Take(const Places& places, TurnSeries& series);
  // Returns places that were taken for `series`. They are kept for its next part, for a moment.
  void Return(const Places& places, const TurnSeries& series);

  // Callers that wait in Take.
  int num_waiting() const;

 private:
  struct Waiter {
    const Places& places;
    std::condition_variable changed = {};
    Waiter* next = nullptr;
  };

  // The functions below are called with the mutex held.
  void AwaitTurn(const Places& places, const TurnSeries& series,
                 std::unique_lock<std::mutex>& lock);
  bool IsNext(const Waiter& waiter) const;

  Clock::time_point (*const now_)();
  mutable std::mutex mutex_;
  Waiter* first_waiter_ = nullptr;
};

}  // namespace dray
