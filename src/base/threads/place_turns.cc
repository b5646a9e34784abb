#include "base/threads/place_turns.h"

#include <algorithm>

#include "base/threads/spin.h"

namespace dray {
namespace {

using Clock = PlaceTurns::Clock;
using Places = PlaceTurns::Places;

// For this time the parts of a series are one turn. To hand places over costs about 50 microseconds,
// which is 1 % of this; who reads a stream does not see a pause of this length.
constexpr Clock::duration kShortestTurn = std::chrono::milliseconds(5);
// How long places are kept between two parts: the computing threads are still awake then.
constexpr Clock::duration kKeptTime = kSpinTime;

bool Overlap(const Places& a, const Places& b) {
  return std::any_of(a.begin(), a.end(), [&](WorkPlace* place) {
    return std::find(b.begin(), b.end(), place) != b.end();
  });
}

bool AreKeptFor(const TurnSeries& series, const Places& places, Clock::time_point now) {
  return std::all_of(places.begin(), places.end(), [&](const WorkPlace* place) {
    const PlaceTurn& turn = place->turn;
    return !turn.taken && turn.kept_for == &series && now < turn.kept_until;
  });
}

bool AreTaken(const Places& places) {
  return std::any_of(places.begin(), places.end(),
                     [](const WorkPlace* place) { return place->turn.taken; });
}

// When none of the places is kept any more for another series.
Clock::time_point KeptUntil(const Places& places, const TurnSeries& series) {
  auto until = Clock::time_point::min();
  for (const WorkPlace* place : places) {
    if (place->turn.kept_for != &series) until = std::max(until, place->turn.kept_until);
  }
  return until;
}

Clock::duration LastTurn(const Places& places) {
  auto longest = Clock::duration::zero();
  for (const WorkPlace* place : places) longest = std::max(longest, place->turn.last_length);
  return longest;
}

}  // namespace

bool PlaceTurns::IsNext(const Waiter& waiter) const {
  for (const Waiter* earlier = first_waiter_; earlier != &waiter; earlier = earlier->next) {
    if (Overlap(earlier->places, waiter.places)) return false;
  }
  return !AreTaken(waiter.places);
}

void PlaceTurns::AwaitTurn(const Places& places, const TurnSeries& series,
                           std::unique_lock<std::mutex>& lock) {
  Waiter self{places};
  Waiter** end = &first_waiter_;
  while (*end != nullptr) end = &(*end)->next;
  *end = &self;
  for (;;) {
    if (!IsNext(self)) {
      self.changed.wait(lock);
      continue;
    }
    const auto until = KeptUntil(places, series);
    if (until <= now_()) break;
    self.changed.wait_until(lock, until);
  }
  Waiter** link = &first_waiter_;
  while (*link != &self) link = &(*link)->next;
  *link = self.next;
}

void PlaceTurns::Take(const Places& places, TurnSeries& series) {
  using enum TurnSeries::Parts;
  std::unique_lock lock(mutex_);
  auto now = now_();
  if (!AreKeptFor(series, places, now)) {
    if (first_waiter_ != nullptr || AreTaken(places) || now < KeptUntil(places, series)) {
      AwaitTurn(places, series, lock);
      now = now_();
    }
    const auto length = series.parts_ == kRegions ? LastTurn(places) : Clock::duration::zero();
    series.begin_ = now;
    series.end_ = now + std::max(kShortestTurn, length);
  }
  for (WorkPlace* place : places) place->turn.taken = true;
}

void PlaceTurns::Return(const Places& places, const TurnSeries& series) {
  const std::lock_guard lock(mutex_);
  const auto now = now_();
  for (WorkPlace* place : places) {
    PlaceTurn& turn = place->turn;
    turn.taken = false;
    turn.kept_for = &series;
    turn.kept_until = std::min(series.end_, now + kKeptTime);
    if (series.parts_ == TurnSeries::Parts::kSteps) turn.last_length = now - series.begin_;
  }
  // With the mutex held: a waiter ends as soon as it has its places.
  for (Waiter* waiter = first_waiter_; waiter != nullptr; waiter = waiter->next) {
    if (IsNext(*waiter)) waiter->changed.notify_one();
  }
}

int PlaceTurns::num_waiting() const {
  const std::lock_guard lock(mutex_);
  int count = 0;
  for (const Waiter* waiter = first_waiter_; waiter != nullptr; waiter = waiter->next) ++count;
  return count;
}

}  // namespace dray
