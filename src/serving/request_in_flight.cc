#include "serving/request_in_flight.h"

namespace dray::serving {

RequestOutcome OutcomeOf(const Reason& reason) {
  if (std::holds_alternative<TimedOut>(reason)) return RequestOutcome::kTimedOut;
  const auto* const status = std::get_if<Status>(&reason);
  const bool is_cancelled = status != nullptr && status->code() == StatusCode::kCancelled;
  return is_cancelled ? RequestOutcome::kCancelled : RequestOutcome::kFailed;
}

}  // namespace dray::serving
