// Turns the logits of a step into log-probabilities of prompt tokens, into new tokens and their
// events, and into the results for the scheduler.
//
// The row of a guess is used only if the guess was right, that is, if the guessed token is the one
// that was chosen from the row before.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/status.h"
#include "engine/request_table.h"
#include "engine/step/step_in_flight.h"
#include "sampling/logits.h"
#include "sampling/sampler.h"
#include "scheduler/plan.h"

namespace dray::engine {

class TokenSelector {
 public:
  // `requests` must outlive the selector.
  explicit TokenSelector(RequestTable& requests) : requests_(requests) {}

  // Reserves memory for the results of that many sequences in a step.
  void Reserve(int64_t max_sequences);

  // For each step, call Begin, then Take for each of its pieces, then Finish.
  void Begin(const StepInFlight& step);
  // Ignores the rows of sequences that have ended meanwhile. If the piece has failed, all requests
  // with rows in it fail.
  void Take(const StepInFlight& step, const StepPiece& piece);
  void Finish(const StepInFlight& step);

  // The results of the step's entries that sample, in their order. The result of a sequence that
  // has ended, or whose request has failed, has no meaning.
  std::span<const scheduler::SequenceResult> results() const { return results_; }
  // The requests that failed in this step; the caller ends them.
  std::span<const std::pair<RequestId, Status>> failures() const { return failures_; }
  // The requests whose groups have all their rows in this step; the caller continues them once the
  // scheduler has the results.
  std::span<const RequestId> ready_groups() const { return ready_groups_; }
  // The number of new tokens in all steps so far, those of all members of groups included.
  uint64_t num_tokens() const { return num_tokens_; }

 private:
  // Takes the row of a prompt's token that is not the last one.
  void TakePromptRow(const WantedRow& wanted, Sequence& sequence, const TokenRow& row);
  void ScorePrompt(const WantedRow& wanted, Sequence& sequence, std::span<const float> logits);
  // Chooses the next token from the row's logits, appends it to the sequence and sends its event.
  Status SelectToken(const WantedRow& wanted, Sequence& sequence, const TokenRow& row);
  // Gives the row to the request's group.
  Status TakeMember(Sequence& sequence, scheduler::SequenceResult& result, const TokenRow& row);

  RequestTable& requests_;
  std::vector<scheduler::SequenceResult> results_;
  std::vector<std::pair<RequestId, Status>> failures_;
  std::vector<RequestId> ready_groups_;
  uint64_t num_tokens_ = 0;
  sampling::SamplingWorkspace workspace_;
  std::vector<sampling::TokenLogprob> tops_;
};

}  // namespace dray::engine
