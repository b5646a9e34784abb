// The statuses of a server's errors, and how many errors a server may make and still count as healthy.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/status.h"

namespace dray::settings {

// At most `max_errors` in each `window`.
struct ErrorRate {
  int64_t max_errors = 0;
  std::chrono::milliseconds window{60'000};  // 1 at least

  bool operator==(const ErrorRate&) const = default;
};

struct ErrorSettings {
  // The statuses of requests that a model has refused or failed.
  int64_t bad_request_status = 400;
  int64_t throttle_status = 503;
  int64_t wlm_status = 503;
  int64_t server_status = 500;
  // Absent: any number of errors.
  std::optional<ErrorRate> wlm_rate;
  std::optional<ErrorRate> server_rate;
  std::optional<ErrorRate> any_rate;
};

// The status of an HTTP answer that is final.
Status SetHttpStatus(int64_t& out, std::string_view text);
// N, or N/DURATION with an ISO 8601 duration of days, hours, minutes and seconds ("5/PT1M30S", "5/P1D").
// kInvalidArgument says what the value must be.
Status SetErrorRate(std::optional<ErrorRate>& out, std::string_view text);

}  // namespace dray::settings
