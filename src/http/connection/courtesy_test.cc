#include "http/connection/courtesy.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <boost/asio/post.hpp>
#include <functional>
#include <thread>

namespace dray::http {
namespace {

using std::chrono::milliseconds;

// On a thread of its own, since the policy is a thread's.
TEST(CourtesyTest, LastsUntilASecondAfterTheLastRefusal) {
  std::thread([] {
    const std::chrono::steady_clock::time_point start;
    const int before = sched_getscheduler(0);
    NoteAnswerForCourtesy(AnswerKind::kAnswer, start);
    EXPECT_EQ(sched_getscheduler(0), before);
    const sched_param parameters{};
    const bool may_choose = before == SCHED_OTHER &&
                            sched_setscheduler(0, SCHED_BATCH, &parameters) == 0 &&
                            sched_setscheduler(0, SCHED_OTHER, &parameters) == 0;
    if (!may_choose) GTEST_SKIP() << "the system has chosen the scheduling policy";
    NoteAnswerForCourtesy(AnswerKind::kRefusalForLoad, start);
    EXPECT_EQ(sched_getscheduler(0), SCHED_BATCH);
    NoteAnswerForCourtesy(AnswerKind::kRefusalForLoad, start + milliseconds(900));
    NoteAnswerForCourtesy(AnswerKind::kAnswer, start + milliseconds(1900));
    EXPECT_EQ(sched_getscheduler(0), SCHED_BATCH);
    NoteAnswerForCourtesy(AnswerKind::kAnswer, start + milliseconds(1901));
    EXPECT_EQ(sched_getscheduler(0), SCHED_OTHER);
  }).join();
}

// Refusals stop the loop for a rest; no handler may be lost for that.
TEST(CourtesyTest, ALoopThatRestsRunsEveryHandler) {
  boost::asio::io_context io;
  constexpr int kNumHandlers = 50;
  int num_run = 0;
  std::function<void()> refuse = [&] {
    NoteAnswerForCourtesy(AnswerKind::kRefusalForLoad, std::chrono::steady_clock::now());
    // Half of the handlers are there from the beginning, and each of them adds one.
    if (++num_run <= kNumHandlers / 2) boost::asio::post(io, refuse);
  };
  for (int i = 0; i < kNumHandlers / 2; ++i) boost::asio::post(io, refuse);
  std::thread([&] { RunCourteously(io); }).join();
  EXPECT_EQ(num_run, kNumHandlers);
}

TEST(CourtesyTest, ALoopWithoutRefusalsEndsWithItsWork) {
  boost::asio::io_context io;
  int num_run = 0;
  for (int round = 1; round <= 2; ++round) {
    boost::asio::post(io, [&] { ++num_run; });
    RunCourteously(io);
    EXPECT_EQ(num_run, round);
  }
}

}  // namespace
}  // namespace dray::http
