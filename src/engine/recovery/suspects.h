// Finds the request that makes runners fail, so that it ends alone.
//
// A request advances when a step has computed tokens of it that no step had computed before. A
// request is suspected if it was about to advance in a step that was in flight when a runner failed.
// (Tokens that are computed again, because a runner was lost, have shown before that they do no
// harm.) It is cleared when it advances. Requests that were suspected at two failures in a row are
// computed one after the other, each alone, until they advance. If two more runners in a row fail
// while such a request is about to advance alone, this request is the cause.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/ids.h"
#include "engine/request_table.h"
#include "engine/step/step_in_flight.h"
#include "scheduler/plan.h"

namespace dray::engine {

class Suspects {
 public:
  // Failures in a row after which a request is computed alone, and after which it ends.
  static constexpr int64_t kFailuresToIsolate = 2;
  static constexpr int64_t kFailuresToEnd = 4;

  // `requests` must outlive the suspects.
  explicit Suspects(RequestTable& requests) : requests_(requests) {}

  // A runner has failed while `steps` were in flight. Returns the request that is the cause, if it
  // is known; the caller ends it.
  std::optional<RequestId> OnFailure(std::span<const std::unique_ptr<StepInFlight>> steps);
  // A step was computed. Returns whether a request has advanced.
  bool OnComputed(const scheduler::Plan& plan);
  // Returns a sequence of the request that is to be computed alone, if there is one.
  std::optional<SequenceId> ToIsolate();

 private:
  // The tokens of the sequence up to position `end` are computed. Returns whether that is more than
  // ever.
  static bool Advance(Sequence& sequence, int64_t end);

  RequestTable& requests_;
  // Requests with failures, in the order in which they came under suspicion. Some may have been
  // cleared, or have ended.
  std::vector<RequestId> suspects_;
};

}  // namespace dray::engine
