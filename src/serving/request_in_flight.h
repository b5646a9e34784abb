// An accepted request as the model's watcher sees it.
#pragma once

#include <chrono>

#include "serving/metrics/model_metrics.h"
#include "serving/reasons.h"

namespace dray::serving {

// Threads: any.
class RequestInFlight {
 public:
  using Clock = std::chrono::steady_clock;
  virtual ~RequestInFlight() = default;

  // Ends the request soon; its last event carries `reason`. Nothing happens if it is over already.
  virtual void Cancel(Reason reason) = 0;
  // Cancels the request if it has had no event for the limit: before the first event, or between
  // two.
  virtual void CancelIfLate(Clock::time_point now, std::chrono::milliseconds first_limit,
                            std::chrono::milliseconds next_limit) = 0;
  virtual bool over() const = 0;
};

// Of a request that ended before its answer was whole.
RequestOutcome OutcomeOf(const Reason& reason);

}  // namespace dray::serving
