// The clock side of a connection: which deadline holds at each stage, and what happens when it
// passes. Apart from connection.cc because it reads the stages and only ends them.
#include <fmt/format.h>

#include <algorithm>

#include "http/connection/connection.h"

namespace dray::http {

void Connection::UpdateDeadline() {
  deadline_ = Clock::time_point::max();
  if (stage_ == Stage::kClosed) return;
  if (stage_ == Stage::kLingering) {
    deadline_ = linger_start_ + timeouts_.linger;
  } else if (!writing_.empty()) {
    deadline_ = last_output_ + timeouts_.send_stall;
  } else if (stage_ == Stage::kReading && parser_.head_done()) {
    deadline_ = std::min(last_input_ + timeouts_.body_idle, body_start_ + timeouts_.body);
  } else if (stage_ == Stage::kReading && admission_ == Admission::kHealthCheckOnly) {
    deadline_ = request_start_ + timeouts_.overflow_header;
  } else if (stage_ == Stage::kReading && parser_.idle() && !first_request_) {
    deadline_ = request_start_ + timeouts_.keep_alive;
  } else if (stage_ == Stage::kReading) {
    deadline_ = request_start_ + timeouts_.header;
  }
  if (deadline_ < timer_at_) WaitForDeadline();
}

void Connection::WaitForDeadline() {
  timer_at_ = deadline_;
  timer_.expires_at(deadline_);
  timer_.async_wait([self = shared_from_this(), at = deadline_](const auto& error) {
    // Cancelled, by a close or by an earlier deadline that has its own wait.
    if (error || self->timer_at_ != at) return;
    self->timer_at_ = Clock::time_point::max();
    if (self->stage_ == Stage::kClosed) return;
    if (self->deadline_ <= Clock::now()) return self->OnDeadline();
    // The deadline has moved since; a finished wait is the time to follow it.
    if (self->deadline_ != Clock::time_point::max()) self->WaitForDeadline();
  });
}

void Connection::OnDeadline() {
  if (stage_ == Stage::kLingering) return Close();
  if (!writing_.empty()) return Reset();
  if (stage_ != Stage::kReading) return UpdateDeadline();
  RefuseLate();
  UpdateDeadline();
}

// What a request gets that was not whole in time.
void Connection::RefuseLate() {
  const auto seconds = [](std::chrono::milliseconds time) {
    return static_cast<double>(time.count()) / 1000;
  };
  if (admission_ == Admission::kHealthCheckOnly) return Refuse(503, kTooManyConnections);
  if (parser_.head_done()) {
    const bool is_idle = last_input_ + timeouts_.body_idle <= Clock::now();
    return Refuse(408, is_idle ? fmt::format("nothing of the request's body came for {} s",
                                             seconds(timeouts_.body_idle))
                               : fmt::format("the request's body was not whole after {} s",
                                             seconds(timeouts_.body)));
  }
  if (parser_.idle()) return Close();
  Refuse(408,
         fmt::format("the request's headers were not whole after {} s", seconds(timeouts_.header)));
}

}  // namespace dray::http
