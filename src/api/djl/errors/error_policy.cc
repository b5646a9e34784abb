#include "api/djl/errors/error_policy.h"

#include <utility>

#include "base/log.h"

namespace dray::api {
namespace {

std::optional<ErrorLimit> MakeLimit(const std::optional<settings::ErrorRate>& rate) {
  if (!rate) return std::nullopt;
  return ErrorLimit(*rate, ErrorLimit::Clock::now());
}

bool IsOfServer(int status) {
  constexpr int kHandlerFailed = 424;
  return status >= 500 || status == kHandlerFailed;
}

}  // namespace

bool ErrorLimit::Exceeds(Clock::time_point now) {
  if (now - window_start_ >= rate_.window) {
    window_start_ = now;
    num_left_ = rate_.max_errors;
  }
  if (num_left_ == 0) return true;
  --num_left_;
  return false;
}

ErrorPolicy::ErrorPolicy(const settings::ErrorSettings& settings)
    : settings_(settings),
      of_wlm_(MakeLimit(settings.wlm_rate)),
      of_server_(MakeLimit(settings.server_rate)),
      of_any_(MakeLimit(settings.any_rate)) {}

int ErrorPolicy::StatusOf(const DjlError& error) const {
  switch (error.kind) {
    case ErrorKind::kBadRequest:
      return static_cast<int>(settings_.bad_request_status);
    case ErrorKind::kThrottle:
      return static_cast<int>(settings_.throttle_status);
    case ErrorKind::kWlm:
      return static_cast<int>(settings_.wlm_status);
    case ErrorKind::kServer:
      return static_cast<int>(settings_.server_status);
    case ErrorKind::kOther:
      break;
  }
  return error.status;
}

http::Response ErrorPolicy::Answer(DjlError error) {
  if (error.kind == ErrorKind::kThrottle || error.kind == ErrorKind::kWlm) {
    Count(of_wlm_);
  } else if (error.kind == ErrorKind::kServer || IsOfServer(error.status)) {
    Count(of_server_);
  }
  error.status = StatusOf(error);
  return ToResponse(error);
}

void ErrorPolicy::CountAnswer(int status) {
  if (IsOfServer(status)) Count(of_server_);
}

void ErrorPolicy::Count(Limit& limit) {
  const std::lock_guard lock(mutex_);
  if (exceeded_) return;
  const auto now = ErrorLimit::Clock::now();
  exceeded_ = (limit && limit->Exceeds(now)) || (of_any_ && of_any_->Exceeds(now));
  if (!exceeded_) return;
  LogWarning(
      "more requests have failed than error_rate_wlm, error_rate_server or error_rate_any allows; "
      "/ping answers 503 until the server is started again");
}

bool ErrorPolicy::exceeded() const {
  const std::lock_guard lock(mutex_);
  return exceeded_;
}

}  // namespace dray::api
