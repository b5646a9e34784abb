// The clock side of a connection: which deadline holds at each stage, and what happens when it
// passes. Apart from connection.cc because it reads the stages and only ends them.
#include "http/connection.h"

namespace dray::http {

void Connection::UpdateDeadline() {
  deadline_ = Clock::time_point::max();
  if (stage_ == Stage::kClosed) return;
  if (stage_ == Stage::kLingering) {
    deadline_ = linger_start_ + timeouts_.linger;
  } else if (!writing_.empty()) {
    deadline_ = last_output_ + timeouts_.send_stall;
  } else if (stage_ == Stage::kReading && parser_.head_done()) {
    deadline_ = last_input_ + timeouts_.body_idle;
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
  if (parser_.head_done()) {
    Refuse(408, "the rest of the request's body did not come");
    return UpdateDeadline();
  }
  if (parser_.idle()) return Close();
  Refuse(408, "the request's headers did not come in time");
  UpdateDeadline();
}

}  // namespace dray::http
