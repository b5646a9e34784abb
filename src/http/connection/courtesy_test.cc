#include "http/connection/courtesy.h"

#include <gtest/gtest.h>
#include <sched.h>

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

}  // namespace
}  // namespace dray::http
