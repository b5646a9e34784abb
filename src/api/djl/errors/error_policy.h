// What an operator has set about errors: the statuses of those that a model's requests end with, and how many of them
// leave the server healthy. The rules are DJLServing's.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>

#include "api/djl/errors/djl_errors.h"
#include "http/response.h"
#include "serving/reasons.h"
#include "settings/server/error_settings.h"

namespace dray::api {

// Counts errors against a rate.
class ErrorLimit {
 public:
  using Clock = std::chrono::steady_clock;

  ErrorLimit(const settings::ErrorRate& rate, Clock::time_point now)
      : rate_(rate), window_start_(now), num_left_(rate.max_errors) {}

  // Counts one error; true if it is one too many. A window begins with the first error behind the one before.
  bool Exceeds(Clock::time_point now);

 private:
  const settings::ErrorRate rate_;
  Clock::time_point window_start_;
  int64_t num_left_;
};

// Threads: any may call.
class ErrorPolicy {
 public:
  explicit ErrorPolicy(const settings::ErrorSettings& settings);

  // The answer to a request that a model has refused or failed. Counts the error.
  http::Response Answer(DjlError error);
  http::Response Answer(const serving::Reason& reason) { return Answer(MakeDjlError(reason)); }
  // Counts an answer that a model's handler has made, if its status is that of an error.
  void CountAnswer(int status);
  // Whether there were more errors than a rate allows; that stays so.
  bool exceeded() const;

 private:
  using Limit = std::optional<ErrorLimit>;
  int StatusOf(const DjlError& error) const;
  // Counts an error of the kind that `limit` is for.
  void Count(Limit& limit);

  const settings::ErrorSettings settings_;
  mutable std::mutex mutex_;
  Limit of_wlm_;
  Limit of_server_;
  Limit of_any_;
  bool exceeded_ = false;
};

}  // namespace dray::api
