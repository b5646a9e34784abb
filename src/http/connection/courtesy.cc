#include "http/connection/courtesy.h"

#include <sched.h>

#include <thread>

namespace dray::http {
namespace {

using Clock = std::chrono::steady_clock;

// Longer than the pauses between refusals of a server that is flooded.
constexpr std::chrono::seconds kLongestPause{1};
// Refusals that follow each other as closely, 50 a second, are worth a rest.
constexpr std::chrono::milliseconds kClosePause{20};
// A round of refusals costs about 0.2 ms beside the refusals themselves (measured on Zen 4: the sleep, the wake-up and
// the caches that the computing thread has to fill again). With 50 rounds a second that is 1 % of a processor.
constexpr std::chrono::milliseconds kRest{20};

// What one server thread remembers.
struct Courtesy {
  bool is_courteous = false;
  Clock::time_point last_refusal;
  // What RunCourteously runs; null on other threads.
  boost::asio::io_context* io = nullptr;
  bool rest_is_due = false;
};

Courtesy& OfThisThread() {
  thread_local Courtesy courtesy;
  return courtesy;
}

void ChoosePolicy(int policy) {
  const sched_param parameters{};
  sched_setscheduler(0, policy, &parameters);
}

void BecomeCourteous(Courtesy& courtesy) {
  if (courtesy.is_courteous || sched_getscheduler(0) != SCHED_OTHER) return;
  courtesy.is_courteous = true;
  // Threads of this policy do not interrupt others when they wake.
  ChoosePolicy(SCHED_BATCH);
}

}  // namespace

void NoteAnswerForCourtesy(AnswerKind kind, Clock::time_point now) {
  Courtesy& courtesy = OfThisThread();
  if (kind == AnswerKind::kRefusalForLoad) {
    const bool is_close = now - courtesy.last_refusal < kClosePause;
    courtesy.last_refusal = now;
    BecomeCourteous(courtesy);
    if (is_close && courtesy.io != nullptr && !courtesy.rest_is_due) {
      courtesy.rest_is_due = true;
      courtesy.io->stop();
    }
  } else if (courtesy.is_courteous && now - courtesy.last_refusal > kLongestPause) {
    courtesy.is_courteous = false;
    ChoosePolicy(SCHED_OTHER);
  }
}

void RunCourteously(boost::asio::io_context& io) {
  Courtesy& courtesy = OfThisThread();
  courtesy.io = &io;
  courtesy.rest_is_due = false;
  // An exception may have left it stopped.
  io.restart();
  while (true) {
    io.run();
    if (!courtesy.rest_is_due) break;
    // The handlers that are ready, before the rest.
    io.restart();
    io.poll();
    std::this_thread::sleep_for(kRest);
    courtesy.rest_is_due = false;
  }
  courtesy.io = nullptr;
}

}  // namespace dray::http
