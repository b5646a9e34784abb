// Speculation: a drafter guesses a sequence's next tokens, and one step of the model checks all
// guesses at once.
//
// At each guessed place the sampler chooses as it would have chosen without the guess. It uses the
// same logits (a row's logits do not depend on the rows beside it), the same history, and the same
// random draw, which is a function of the place. A guess is accepted if and only if it is the
// sampler's choice. So the tokens are the same with and without speculation, whatever the
// parameters; guesses change only the speed.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "base/status.h"
#include "engine/engine_options.h"
#include "engine/runner/make_runner.h"
#include "engine/sequence.h"
#include "engine/speculation/draft_policy.h"
#include "scheduler/plan.h"

namespace dray::engine {

// A plan entry with the sequence that it names.
struct PlannedSequence {
  const scheduler::PlanEntry* entry = nullptr;
  Sequence* sequence = nullptr;
};

// How many next tokens of a sequence a drafter can guess, and of which kind the guesses are: how
// often guesses are accepted is tracked for each kind.
struct DraftOffer {
  int64_t num_drafts = 0;
  int kind = 0;  // from 0, below kNumDraftKinds
};

// Not thread-safe: only the engine's thread calls it. For each step the methods are called in the
// order in which they are declared. Other steps, of other sequences, may be in flight meanwhile.
class Drafter {
 public:
  virtual ~Drafter() = default;

  // The cache memory that the drafter needs for each block of the model's cache.
  virtual int64_t BlockBytes(const EngineOptions&) const { return 0; }
  // Called once, before everything else, with the size of the model's runner.
  virtual Status Prepare(const EngineOptions&, const RunnerSpec&) { return OkStatus(); }
  // The time to guess one token of one sequence, in units of the model's step of one row.
  virtual double CostOfGuess() const { return 0; }
  // [kind]: the share of guesses that is expected to be accepted before anything is learnt.
  virtual std::span<const float> Priors() const = 0;

  // Offers up to `most` guesses for a sequence that lacks only its last known token. May write the
  // guesses to sequence.drafts.tokens already.
  virtual DraftOffer Offer(Sequence& sequence, int64_t most) = 0;
  // The sequence has lost its blocks.
  virtual void OnPreempted(Sequence&) {}
  // Called with a step's plan. Appends guesses to sequence.drafts.tokens until there are
  // entry.num_drafts of them. `copies` are the block copies of the plan. If this fails, the engine
  // goes on without speculation.
  virtual Status Draft(std::span<const PlannedSequence>,
                       std::span<const scheduler::BlockCopy> /*copies*/) {
    return OkStatus();
  }
  // The sequence's guesses were checked; sequence.tokens ends with the tokens that were chosen.
  virtual void OnChecked(Sequence&) {}
  // The steps in flight are lost.
  virtual void OnAbandoned() {}
};

// Makes the drafter that the options name; null for none. `draft` is the draft model, which must
// outlive the drafter, or null; `make_runner` makes its runner. Fails with kInvalidArgument if settings contradict each other or
// the models; the message names them.
Result<std::unique_ptr<Drafter>> MakeDrafter(const LoadedModel& model, LoadedModel* draft,
                                             const SpeculationOptions& options,
                                             const RunnerMaker& make_runner = MakeRunner);

}  // namespace dray::engine
