// What the scheduler and the engine tell each other about one step.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/ids.h"

namespace dray::scheduler {

// Whether a step's last token of a sequence is the last one known, so that its logits give
// a new token.
enum class Sampling { kNo, kYes };

// Asks for a plan that also computes guesses of the tokens that follow a sequence's last known one.
// If the sampler chooses the guessed tokens, the step yields several tokens at once.
struct DraftProposal {
  SequenceId id;
  int64_t num_drafts = 0;
};

// The tokens [first_token, first_token + num_tokens) of one sequence are to be computed. Position p
// of the sequence lives in slot p % block_size of block block_table[p / block_size].
struct PlanEntry {
  SequenceId id;
  int64_t first_token = 0;
  int64_t num_tokens = 0;
  int64_t num_drafts = 0;                // the last num_drafts of these tokens are guesses
  std::span<const BlockId> block_table;  // covers every position up to the last one of this step
  Sampling sampling = Sampling::kNo;
};

// The bytes of block `from` are to be copied to block `to`.
struct BlockCopy {
  BlockId from;
  BlockId to;
};

// One step: first the copies, in their order, then all entries as one ragged batch.
struct Plan {
  std::vector<PlanEntry> entries;  // in order of arrival
  std::vector<BlockCopy> block_copies;
  std::vector<SequenceId> preempted;  // lost their blocks; later plans compute them anew
  int64_t num_tokens = 0;             // of all entries

  bool empty() const { return entries.empty(); }
};

// kHeld: the sequence is a beam, and its next token is chosen together with those of the other beams
// (Scheduler::ContinueBeams). Until then it is not planned.
enum class Outcome { kGoesOn, kFinished, kHeld };

// The result of a plan entry that samples.
struct SequenceResult {
  SequenceId id;
  // At least 1, but 0 for kHeld; with the earlier ones at most max_new_tokens.
  int64_t num_new_tokens = 1;
  Outcome outcome = Outcome::kGoesOn;
  // The first num_accepted of the new tokens are the entry's guesses, so they are computed already.
  // Less than num_new_tokens.
  int64_t num_accepted = 0;
};

// Beam `id` becomes what beam `parent` is now, followed by one new token.
struct BeamMove {
  SequenceId id;
  SequenceId parent;
};

}  // namespace dray::scheduler
