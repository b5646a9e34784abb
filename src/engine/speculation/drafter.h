// Speculation: guesses of a sequence's next tokens, which one step of the model then checks
// all at once.
//
// At each guessed place the sampler chooses as it would have without the guess: from the same
// logits (a row's logits do not depend on the rows beside it), with the same history and the same
// random draw, which is a function of the place. A guess is accepted if and only if it is that
// choice. So the tokens are the same with and without speculation, whatever the parameters, and
// guesses are only ever a matter of speed.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "base/status.h"
#include "engine/engine_options.h"
#include "engine/runner/cache_size.h"
#include "engine/runner/loaded_model.h"
#include "engine/sequence.h"
#include "engine/speculation/draft_policy.h"
#include "model/forward/decoder.h"
#include "scheduler/plan.h"

namespace dray::engine {

// A plan entry with the sequence that it names.
struct PlannedSequence {
  const scheduler::PlanEntry* entry = nullptr;
  Sequence* sequence = nullptr;
};

// How many next tokens of a sequence a drafter can guess, and how much the guesses are alike:
// acceptance is tracked for each kind.
struct DraftOffer {
  int64_t num_drafts = 0;
  int kind = 0;
};

// Not thread-safe: the engine's thread alone calls it, the methods below in their order
// in every step.
class Drafter {
 public:
  virtual ~Drafter() = default;

  // Cache memory that it needs for each block of the model's cache.
  virtual int64_t BlockBytes(const EngineOptions&) const { return 0; }
  // Once, before everything else: the model's cache, and the limits of the model's steps.
  virtual Status Prepare(const CacheSize&, const EngineOptions&, const model::DecoderLimits&) {
    return OkStatus();
  }
  // What guessing one token of one sequence takes, in units of the model's step of one row.
  virtual double CostOfGuess() const { return 0; }
  // Acceptance to be expected of each kind before anything is known.
  virtual std::span<const float> Priors() const = 0;

  // For a sequence at its last known token: up to `most` guesses. May write them to
  // sequence.draft.tokens already.
  virtual DraftOffer Offer(Sequence& sequence, int64_t most) = 0;
  // The sequence has lost its cache.
  virtual void OnPreempted(Sequence&) {}
  virtual void OnBlockCopies(std::span<const int32_t> /*from*/, std::span<const int32_t> /*to*/) {}
  // The step's plan is made: writes entry.num_drafts guesses to sequence.draft.tokens where there
  // are fewer. An error fails the step.
  virtual Status Draft(std::span<const PlannedSequence>) { return OkStatus(); }
  // The sequence's guesses were checked; sequence.tokens holds what was chosen.
  virtual void OnChecked(Sequence&) {}
};

// By options.speculation; null for none. `draft` is the draft model, which must outlive the
// drafter, or null. kInvalidArgument names the settings that contradict each other or the models.
Result<std::unique_ptr<Drafter>> MakeDrafter(const LoadedModel& model, LoadedModel* draft,
                                             const SpeculationOptions& options);

}  // namespace dray::engine
