// How a server thread shares the processors with the threads that compute.
//
// The system lets a thread that wakes interrupt one that has long been running. That is right for a server thread, whose
// work is short, as long as each piece of it serves a client. When most requests are refused, a thousand interruptions a
// second cost the accepted ones more than the refusals do. So while a server refuses requests, its threads wait for the
// time slice of the thread that runs, some milliseconds, and then answer all that has come meanwhile. Between two rounds
// of refusals they rest: what they do is done faster if they do it several times in a row.
#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>

namespace dray::http {

enum class AnswerKind { kAnswer, kRefusalForLoad };

// Tells of an answer that the calling thread sends at `now`. From a refusal on, and until a second has passed without
// one, the thread interrupts no other. Does nothing for a thread whose scheduling somebody has chosen, or where the
// system forbids it.
void NoteAnswerForCourtesy(AnswerKind kind, std::chrono::steady_clock::time_point now);

// Runs the handlers of `io` on the calling thread until there is no work left, as io.run() does. While refusals follow
// each other closely, the thread sleeps for 20 ms after each round of handlers, so every answer may be that late.
void RunCourteously(boost::asio::io_context& io);

}  // namespace dray::http
