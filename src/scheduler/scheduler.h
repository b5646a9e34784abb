// Decides which tokens of which sequences each step computes. A pure state machine over counts and
// ids: it has no tensors, text, threads or clock, so that a simulator can drive it
// (testing/simulation.h).
//
// There are no phases. A sequence has known tokens: its prompt and what was sampled. Some of them
// are computed, that is, their keys and values are in the cache. Each step computes more of them;
// the step that computes the last known token yields a new one. Prefill, chunked prefill, decode
// and the return after preemption are all this one case.
//
// Order. Sequences are served by arrival; forks count as arrived with their parent. A step's plan
// first sets aside one token for every running sequence that lacks only one (a decode), so that
// long prompts cannot stall decodes. It then fills the budget with longer stretches, and then
// admits waiting sequences, none past another. A sequence that lacks a block preempts the latest
// arrival behind it: that sequence loses its blocks, waits again, and computes its tokens anew. If
// there is none behind it, the sequence is left out of this step. So the first sequence in the
// order advances in every step, and every sequence is first at some time: none starves.
//
// Steps in flight. While some steps are in flight, the next one is planned of the sequences that
// have known tokens in none of them: the pieces of a prompt follow each other, but a sequence whose
// next token is being computed waits. A sequence in flight keeps its blocks until its last step is
// back, even if it is cancelled. If the latest arrival is in flight, it cannot be preempted, and the
// sequence that lacks a block is left out of this step. Steps must run in the order of their plans,
// because a piece reads what the piece before it wrote, and a plan may give away a block that a step
// before it copies from.
//
// Micro-batches. If one step had all sequences, none would be left for the next one, and the stages
// of a pipeline would wait for each other; but each step reads each stage's weights. The costs
// (pipeline_costs.h) say in how many micro-batches m the sequences are divided: a step has at most an
// m-th of all sequences that are running or could run, rounded up. While m steps with decodes are in
// flight, further decodes wait, so that they come together again. The costs also bound the prompt
// tokens of a step, so that prompts fill the stages evenly.
//
// Isolation. The caller may ask for plans of one request alone (Isolate), to find out whether its
// tokens make steps fail. The order among the others stays as it is.
//
// Whole prompts. Where a prompt's tokens see each other, as those of an encoder do, a prompt is computed
// in one step: a sequence that has nothing computed gets all of its prompt, perhaps more than the most
// of a piece, or waits for a step that has room for it. A step's budget has room for every prompt
// beside a token of each other sequence.
//
// Beams. The beams of a request are sequences that get their next tokens together. A beam whose last
// token is computed is held: it is not planned until all beams are held and the caller says which of
// them are followed (ContinueBeams). Beams with a common beginning share its blocks. A beam that
// would write to a block with other holders writes to a copy, which the plan makes first; the last
// holder writes to the block itself. Held beams advance only with the others, so a sequence that
// waits may take the blocks and the place of a held one behind it, and those of any one behind it if
// no sequence can advance otherwise. A request with beams is accepted
// only if the cache has room for all of them without sharing. So the first sequence in the order
// that is not held advances in every step.
//
// Guesses (drafts). A plan may also compute guesses of tokens to come. They are granted last, to
// sequences that lack only one token, from the budget and the blocks that the step has left. Blocks
// of refused guesses are freed again. So a plan with guesses differs in nothing else from the plan
// without them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/ids.h"
#include "base/status.h"
#include "scheduler/block_pool.h"
#include "scheduler/pipeline_costs.h"
#include "scheduler/plan.h"
#include "scheduler/sequence.h"

namespace dray::scheduler {

struct SchedulerOptions {
  int32_t num_blocks = 0;  // of the KV cache
  int32_t block_size = 0;  // tokens
  // Per step; max_batch_tokens must be at least max_sequences.
  int64_t max_batch_tokens = 2048;
  int64_t max_sequences = 256;
  // Per step and sequence.
  int64_t max_prefill_chunk_tokens = 512;
  // No prompt is cut. Then a prompt and max_sequences may have at most max_batch_tokens together.
  bool whole_prompts = false;
  PipelineCosts pipeline = {};
};

struct SequenceSpec {
  SequenceId id;
  int64_t num_prompt_tokens = 0;
  int64_t max_new_tokens = 0;
  // Above 1: this is the first of so many beams; ContinueBeams adds the others.
  int64_t num_beams = 1;
};

// Not thread-safe: one thread owns it. Schedule plans a step; the step is in flight until Update is
// given its results. All functions may be called while steps are in flight.
class Scheduler {
 public:
  // kInvalidArgument names the option out of range.
  static Result<Scheduler> Create(const SchedulerOptions& options);

  // From now on, steps are planned by these costs.
  void SetPipelineCosts(const PipelineCosts& costs) { options_.pipeline = costs; }

  // Accepts a sequence, which then ends exactly once: in Update or by Cancel.
  // kInvalidArgument if the prompt is empty, if there are to be no new tokens, if the id is in use,
  // if the cache can never hold so many tokens, of all beams without sharing, if a step can never have so
  // many beams, or if the prompt is to be whole and no step has room.
  Status Add(const SequenceSpec& spec);

  // Accepts `child`, another sample of `parent`'s prompt. If the parent still exists when the child
  // is admitted, the child shares the blocks of the parent's prompt, and a partial last block is
  // copied. Otherwise the child computes the prompt itself. kNotFound if there is no such parent,
  // kInvalidArgument if the child's id is in use.
  Status Fork(SequenceId parent, SequenceId child);

  // All beams of a request are held, and go on as `moves` say: one move for each beam that exists,
  // which keeps its id, and one for each new id, which joins. No beam gets more tokens than
  // max_new_tokens; the caller cancels the beams before that.
  void ContinueBeams(std::span<const BeamMove> moves);

  // Ends a sequence; false if there is none of that id, for example because it has just finished.
  // If the sequence is in flight, its plans stay valid, and Update must still get a result for it,
  // which it ignores.
  bool Cancel(SequenceId id);

  // Plans the next step. The plan is empty if there is nothing to compute until a step in flight is
  // back; with no step in flight, it is empty if and only if there is no sequence. A plan that is
  // not empty is in flight, and the reference valid, until its Update. `proposals` are served in
  // their order: each gets as many drafts as fit, and none if its sequence lacks more than one
  // token or is in flight.
  const Plan& Schedule(std::span<const DraftProposal> proposals = {});

  // Takes the results of the oldest step in flight: one for each plan entry that samples, in the
  // order of the entries. Returns the sequences that ended, because their result says so or because
  // they have max_new_tokens. The span is valid until the next call.
  std::span<const SequenceId> Update(std::span<const SequenceResult> results);

  // Call this when the cache's contents or the steps in flight are lost. Every running sequence
  // will be computed anew; the steps in flight are over, and Update must not be called for them.
  // `results` are those of the oldest step in flight, if it is lost after some of its tokens were
  // taken: num_new_tokens is 0 for a sequence that got none. Returns the sequences that ended, as
  // Update does.
  std::span<const SequenceId> PreemptAll(std::span<const SequenceResult> results = {});

  // From now on plans have only sequences of the same arrival as this one, which must exist: itself
  // and its forks. The others wait. Those in flight lose their blocks when their step is back.
  // Ends with EndIsolation, or when there is no sequence of that arrival any more.
  void Isolate(SequenceId id);
  void EndIsolation() { isolated_.reset(); }

  bool Contains(SequenceId id) const { return index_of_.contains(id); }
  bool idle() const { return index_of_.empty(); }
  int64_t num_waiting() const { return waiting_.size(); }
  int64_t num_running() const { return running_.size(); }
  int64_t num_preemptions() const { return num_preemptions_; }
  const BlockPool& blocks() const { return pool_; }

  // Verifies the block accounting against every sequence's table. Takes linear time; for tests.
  Status CheckIntegrity() const;

 private:
  // Whether a waiting fork can start on its parent's blocks.
  struct PromptSource {
    enum Kind { kNone, kNotYet, kReady } kind = kNone;
    const Sequence* parent = nullptr;
  };

  // A step that is planned or in flight.
  struct Step {
    Plan plan;
    std::vector<SequenceIndex> indexes;  // parallel to plan.entries
    bool has_decodes = false;            // of running sequences
    int64_t num_prompt_tokens_left = 0;  // that the costs still allow while the step is planned
  };

  // What a beam takes over from the beam that it continues.
  struct BeamStart {
    SequenceState state = SequenceState::kUnused;
    int64_t num_generated = 0;
    int64_t num_computed = 0;
    bool is_own = false;          // the beam continues itself, and keeps its blocks
    std::vector<BlockId> blocks;  // else these
  };

  explicit Scheduler(const SchedulerOptions& options);

  SequenceIndex NewSequence(SequenceId id, int64_t num_prompt_tokens, int64_t max_new_tokens);
  // Sequences that are running or could run.
  int64_t NumCandidates() const;
  // The most sequences in the next step.
  int64_t MostEntries() const;
  // Whether enough steps with decodes are in flight.
  bool DecodesWait() const;
  // Tokens of prompts that are in no step yet.
  int64_t NumPromptTokens() const;
  // Takes the blocks of all sequences that are not in flight and not isolated.
  void PreemptOthers();
  bool MayRun(const Sequence& sequence) const {
    return !isolated_ || sequence.order.arrival == *isolated_;
  }
  bool HasIsolated(const SequenceQueue& queue) const;
  void ScheduleRunning();
  void AdmitWaiting();
  bool Admit(SequenceIndex index, const PromptSource& source, int64_t num_outstanding);
  // The blocks that running sequences will need soon.
  int64_t NumOutstandingBlocks() const;
  // The prompt's tokens that a waiting sequence may take over from `source`.
  int64_t NumShared(const Sequence& sequence, const PromptSource& source) const;
  // How many tokens of a waiting sequence, whose first `num_shared` are computed, the step that is
  // being planned may have; 0: it has no room for a prompt that must be whole.
  int64_t FirstTokens(const Sequence& sequence, int64_t num_shared) const;
  PromptSource FindPromptSource(const Sequence& sequence) const;
  void SharePrompt(Sequence& child, const Sequence& parent, int64_t num_tokens);
  int64_t GrowBlocks(Sequence& sequence, int64_t first, int64_t num_tokens);
  bool PreemptBehind(const Order& order);
  // Takes the blocks of the latest held sequence behind `order`, if there is one.
  bool PreemptHeldBehind(const Order& order);
  // If no sequence can advance, takes the blocks of the latest one behind `order`, if there is one.
  bool PreemptIfStuck(const Order& order);
  // Makes sure that no other sequence holds the block of position `first`, which the sequence writes to
  // next.
  bool OwnNextBlock(Sequence& sequence, int64_t first);
  SequenceIndex IndexOfBeam(const BeamMove& move);
  void ContinueBeam(SequenceIndex index, BeamStart& start);
  void Preempt(SequenceIndex index);
  void AddEntry(SequenceIndex index, int64_t num_tokens);
  void GrantDrafts(const DraftProposal& proposal);
  void UpdateSequence(SequenceIndex index, const PlanEntry& entry, const SequenceResult* result);
  // Counts the new tokens of a sequence, and ends it if they are its last ones.
  void TakeTokens(SequenceIndex index, const SequenceResult& result);
  void ReleaseBlocks(Sequence& sequence, int64_t num_kept);
  void Forget(SequenceIndex index);

  // Sequences in the step that is being planned.
  int64_t num_entries() const { return static_cast<int64_t>(next_step_->indexes.size()); }
  int64_t BlocksFor(int64_t num_tokens) const;
  // The blocks that a running sequence still lacks for its known tokens and the next one.
  int64_t OutstandingBlocks(const Sequence& sequence) const;

  SchedulerOptions options_;
  BlockPool pool_;
  std::vector<Sequence> table_;
  std::vector<SequenceIndex> unused_;
  std::unordered_map<SequenceId, SequenceIndex> index_of_;
  SequenceQueue waiting_;
  SequenceQueue running_;
  uint64_t next_serial_ = 0;
  int64_t num_preemptions_ = 0;
  std::optional<uint64_t> isolated_;  // the arrival whose sequences alone are planned

  // [0, num_in_flight_) are in flight, the oldest first; the others are memory for later steps.
  std::vector<std::unique_ptr<Step>> steps_;
  size_t num_in_flight_ = 0;
  Step* next_step_ = nullptr;  // being planned
  std::vector<SequenceId> ended_;
  // Used again by ContinueBeams.
  std::vector<SequenceIndex> beam_indexes_;
  std::vector<BeamStart> beam_starts_;
};

}  // namespace dray::scheduler
