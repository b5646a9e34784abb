#include "http/connection/courtesy.h"

#include <sched.h>

namespace dray::http {
namespace {

// Longer than the pauses between refusals of a server that is flooded.
constexpr std::chrono::seconds kLongestPause{1};

void ChoosePolicy(int policy) {
  const sched_param parameters{};
  sched_setscheduler(0, policy, &parameters);
}

}  // namespace

void NoteAnswerForCourtesy(AnswerKind kind, std::chrono::steady_clock::time_point now) {
  thread_local bool is_courteous = false;
  thread_local std::chrono::steady_clock::time_point last_refusal;
  if (kind == AnswerKind::kRefusalForLoad) {
    last_refusal = now;
    if (is_courteous || sched_getscheduler(0) != SCHED_OTHER) return;
    is_courteous = true;
    // Threads of this policy do not interrupt others when they wake.
    ChoosePolicy(SCHED_BATCH);
  } else if (is_courteous && now - last_refusal > kLongestPause) {
    is_courteous = false;
    ChoosePolicy(SCHED_OTHER);
  }
}

}  // namespace dray::http
