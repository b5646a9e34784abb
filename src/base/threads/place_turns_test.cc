#include "base/threads/place_turns.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace dray {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using Clock = PlaceTurns::Clock;
using enum TurnSeries::Parts;

// Three places whose time is what the test says.
class PlaceTurnsTest : public testing::Test {
 protected:
  PlaceTurnsTest() { time_ = 1; }
  ~PlaceTurnsTest() override {
    for (std::thread& thread : threads_) thread.join();
  }

  static Clock::time_point Now() { return Clock::time_point(Clock::duration(time_)); }
  static void Pass(Clock::duration time) { time_ += time.count(); }
  PlaceTurns::Places Places(const std::vector<size_t>& indices) {
    PlaceTurns::Places places;
    for (const size_t idx : indices) places.push_back(&places_.at(idx));
    return places;
  }
  // Takes the places for a step on a thread of its own, notes its number and returns them. Waits
  // until the thread has queued up.
  void QueueUp(int number, const PlaceTurns::Places& places) {
    const int num_waiting = turns_.num_waiting();
    threads_.emplace_back([this, number, places] {
      TurnSeries steps(TurnSeries::Parts::kSteps);
      turns_.Take(places, steps);
      {
        const std::lock_guard lock(mutex_);
        order_.push_back(number);
      }
      turns_.Return(places, steps);
      Pass(milliseconds(1));  // until they are not kept for this thread any more
    });
    while (turns_.num_waiting() == num_waiting) std::this_thread::yield();
  }
  std::vector<int> order() {
    const std::lock_guard lock(mutex_);
    return order_;
  }
  // A part of a series that takes `length`.
  void Compute(TurnSeries& series, const PlaceTurns::Places& places, Clock::duration length) {
    turns_.Take(places, series);
    Pass(length);
    turns_.Return(places, series);
  }

  static std::atomic<int64_t> time_;
  std::array<WorkPlace, 3> places_;
  PlaceTurns turns_{&Now};
  std::mutex mutex_;
  std::vector<int> order_;
  std::vector<std::thread> threads_;
};

std::atomic<int64_t> PlaceTurnsTest::time_;

TEST_F(PlaceTurnsTest, TheCallerThatWaitsLongestGoesFirst) {
  const auto all = Places({0, 1, 2});
  const auto last = Places({2});
  TurnSeries steps(kSteps);
  turns_.Take(last, steps);
  for (int i = 0; i < 6; ++i) QueueUp(i, i % 2 == 0 ? all : last);
  turns_.Return(last, steps);
  Pass(milliseconds(1));
  while (order().size() < 6) std::this_thread::yield();
  EXPECT_EQ(order(), (std::vector<int>{0, 1, 2, 3, 4, 5}));
}

TEST_F(PlaceTurnsTest, CallersOfOtherPlacesDoNotWait) {
  TurnSeries steps(kSteps), others(kSteps);
  turns_.Take(Places({0}), steps);
  Compute(others, Places({1, 2}), milliseconds(1));
  turns_.Return(Places({0}), steps);
}

TEST_F(PlaceTurnsTest, ShortStepsAreOneTurn) {
  const auto all = Places({0, 1, 2});
  TurnSeries steps(kSteps);
  turns_.Take(all, steps);
  QueueUp(0, all);
  Pass(milliseconds(1));
  turns_.Return(all, steps);
  for (int i = 0; i < 4; ++i) {
    EXPECT_TRUE(order().empty()) << i;
    Pass(microseconds(100));
    Compute(steps, all, microseconds(900));
  }
  // After five milliseconds it is the other caller's turn.
  Compute(steps, all, microseconds(1));
  EXPECT_EQ(order(), std::vector<int>{0});
}

// Prompts may be computed by more threads than single tokens.
TEST_F(PlaceTurnsTest, ASeriesDoesNotWaitForPlacesThatAreKeptForIt) {
  TurnSeries steps(kSteps);
  Compute(steps, Places({0, 1}), microseconds(1));
  Compute(steps, Places({0, 1, 2}), microseconds(1));
  Compute(steps, Places({1}), microseconds(1));
}

TEST_F(PlaceTurnsTest, ALongStepIsATurn) {
  const auto all = Places({0, 1, 2});
  TurnSeries steps(kSteps);
  turns_.Take(all, steps);
  QueueUp(0, all);
  Pass(milliseconds(6));
  turns_.Return(all, steps);
  Compute(steps, all, microseconds(1));
  EXPECT_EQ(order(), std::vector<int>{0});
}

TEST_F(PlaceTurnsTest, RegionsLastAsLongAsTheTurnBeforeThem) {
  const auto all = Places({0, 1, 2});
  TurnSeries steps(kSteps), regions(kRegions);
  Compute(steps, all, milliseconds(10));
  turns_.Take(all, regions);
  QueueUp(0, Places({1}));
  Pass(milliseconds(2));
  turns_.Return(all, regions);
  for (int i = 0; i < 3; ++i) {
    Pass(microseconds(100));
    Compute(regions, all, microseconds(1900));
    EXPECT_TRUE(order().empty()) << i;
  }
  // After ten milliseconds it is the other caller's turn.
  Compute(regions, all, milliseconds(2));
  Compute(regions, all, microseconds(1));
  EXPECT_EQ(order(), std::vector<int>{0});
}

TEST_F(PlaceTurnsTest, ASeriesThatPausesLosesItsTurn) {
  const auto all = Places({0, 1, 2});
  for (const auto parts : {kSteps, kRegions}) {
    TurnSeries series(parts);
    turns_.Take(all, series);
    QueueUp(static_cast<int>(parts), Places({0, 2}));
    turns_.Return(all, series);
    Pass(milliseconds(1));
    Compute(series, all, microseconds(1));
    EXPECT_EQ(order().size(), static_cast<size_t>(parts) + 1);
    Pass(milliseconds(1));
  }
}

TEST_F(PlaceTurnsTest, PlacesAreKeptForOneSeriesOnly) {
  const auto all = Places({0, 1, 2});
  TurnSeries first(kRegions), second(kRegions);
  Compute(first, all, microseconds(1));
  Pass(milliseconds(5));
  Compute(second, all, microseconds(1));
  std::atomic<bool> done = false;
  threads_.emplace_back([&] {
    Compute(first, all, microseconds(0));
    done = true;
  });
  while (turns_.num_waiting() == 0) std::this_thread::yield();
  Compute(second, all, microseconds(1));
  EXPECT_FALSE(done);
  Pass(milliseconds(5));
  while (!done) std::this_thread::yield();
}

}  // namespace
}  // namespace dray
