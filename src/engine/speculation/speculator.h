// The engine's part in speculation. A Speculator asks a Drafter for guesses, lets a DraftPolicy
// decide how many are worth their time, and tells the policy how many were accepted and how long
// steps took.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/ids.h"
#include "base/status.h"
#include "engine/engine_options.h"
#include "engine/request_table.h"
#include "engine/speculation/draft_policy.h"
#include "engine/speculation/drafter.h"
#include "scheduler/plan.h"

namespace dray::engine {

// How long the parts of a step took.
struct StepSeconds {
  double compute = 0;  // of the model and the sampler
  double guess = 0;
};

// Guesses of one sequence in one step, at most; 0 without a drafter.
int64_t MaxDrafts(const Drafter* drafter, const EngineOptions& options);

class Speculator {
 public:
  // If `drafter` is null, there are no guesses, and all functions do nothing. `requests` must
  // outlive the speculator.
  Speculator(std::unique_ptr<Drafter> drafter, const EngineOptions& options,
             RequestTable& requests);
  // Call this once, before the functions that follow.
  Status Prepare(const EngineOptions& options, const RunnerSpec& spec);

  // Sets up a new sequence: it begins with the acceptance that earlier sequences had.
  void Welcome(Sequence& sequence) const;
  // Returns the guesses to ask the scheduler for: of the sequences that got a token in the step
  // last given to Learn, and go on. The span is valid until the next call.
  std::span<const scheduler::DraftProposal> Propose();
  // Has the plan's guesses made, and returns how many seconds that took. Call this for empty plans,
  // too, since they may have preempted sequences.
  double Draft(const scheduler::Plan& plan);
  // Learns from a step. `results` are those of the plan's entries that sample, in their order.
  void Learn(const scheduler::Plan& plan, std::span<const scheduler::SequenceResult> results,
             const StepSeconds& seconds);
  // The steps in flight are lost, and all sequences have lost their blocks.
  void Abandon();

  uint64_t num_drafted() const { return num_drafted_; }
  uint64_t num_accepted() const { return num_accepted_; }

 private:
  void LearnFromResult(const scheduler::PlanEntry& entry, const scheduler::SequenceResult& result);
  void LearnFromClock(const scheduler::Plan& plan, const StepSeconds& seconds);
  // Goes on without speculation, so that an error of the drafter fails no request.
  void GiveUp(const Status& status);

  std::unique_ptr<Drafter> drafter_;  // may be null
  RequestTable& requests_;
  DraftPolicy policy_;
  int64_t max_drafts_;
  bool learns_costs_ = false;
  uint64_t num_drafted_ = 0;
  uint64_t num_accepted_ = 0;

  // Used again from step to step.
  std::vector<SequenceId> decoding_;  // got a token in the step last learnt from, and go on
  std::vector<scheduler::DraftProposal> proposals_;
  std::vector<PlannedSequence> planned_;
};

}  // namespace dray::engine
