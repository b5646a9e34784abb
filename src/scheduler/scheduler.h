// Which tokens of which sequences are computed next. A pure state machine over counts and ids: no
// tensors, text, threads or clock, so that a simulator can drive it (simulation_test.cc).
//
// There are no phases. A sequence knows its prompt and what was sampled, has computed some of these
// tokens, and catches up; when it has reached its last known token, the step yields a new one.
// Prefill, chunked prefill, decode and coming back after preemption are all that.
//
// Order. Sequences are served by arrival; forks count as arrived with their parent. Each step first
// sets aside one token for every running sequence that lacks only one (a decode), so that long
// prompts cannot stall them, then fills the budget with longer stretches, then admits waiting
// sequences, none past another. A sequence short of blocks takes them from the latest arrival
// behind it (preemption: that one loses its blocks, waits again and computes its tokens anew), or
// holds still for a step when none is behind it. So the first in line moves on in every step, and
// every sequence is first at some time: nothing starves.
//
// Guesses (drafts) of tokens to come are counts here, too. They are granted last, to sequences that
// lack only one token, from what budget and blocks the step has left, and what was refused gives
// its blocks back: a step with guesses differs from one without in nothing else.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/ids.h"
#include "base/status.h"
#include "scheduler/block_pool.h"
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
  // Sequences that wait before Add refuses.
  int64_t max_waiting = 128;
};

struct SequenceSpec {
  SequenceId id;
  int64_t num_prompt_tokens = 0;
  int64_t max_new_tokens = 0;
};

// Not thread-safe: one thread owns it. Use in turn: Schedule, run the plan, Update. The other calls
// may come at any time between these.
class Scheduler {
 public:
  // kInvalidArgument names the option out of range.
  static Result<Scheduler> Create(const SchedulerOptions& options);

  // Accepts a sequence, which then ends exactly once: in Update or by Cancel.
  // kInvalidArgument: empty prompt, no new tokens, an id in use, or more tokens than the cache can
  // ever hold. kUnavailable: the waiting queue is full, or the scheduler is draining.
  Status Add(const SequenceSpec& spec);

  // Accepts `child`, another sample of `parent`'s prompt. If the parent is there when the child's
  // turn comes, the child shares its prompt blocks, all but the last, partial one, which is copied;
  // otherwise it computes the prompt itself. Works in any state, also while draining, and whatever
  // the queue's length: the request was accepted with its parent. kNotFound: no such parent;
  // kInvalidArgument: the child's id is in use.
  Status Fork(SequenceId parent, SequenceId child);

  // Ends a sequence; false if there is none of that id (it has just finished). In the middle of a
  // step, the plan stays valid and the step's result for it must still be given, but is ignored.
  bool Cancel(SequenceId id);

  // The next step; empty if and only if there is no sequence. Valid until Update, which must follow
  // unless it is empty. Of each proposal as many drafts are granted as fit, none at all if the
  // sequence has more than one token to catch up with; the earlier proposals go first.
  const Plan& Schedule(std::span<const DraftProposal> proposals = {});

  // The step is done: `results` holds one result for each plan entry that samples, in their order.
  // Returns the sequences that ended: said to be finished, or at max_new_tokens. Valid until the
  // next call.
  std::span<const SequenceId> Update(std::span<const SequenceResult> results);

  // The cache's contents are lost (a rank died): every running sequence will be computed anew. A
  // step in flight is over; it takes no Update.
  void PreemptAll();

  // From now on Add refuses; what was accepted is finished.
  void StartDraining() { draining_ = true; }
  bool draining() const { return draining_; }

  bool Contains(SequenceId id) const { return index_of_.contains(id); }
  bool idle() const { return index_of_.empty(); }
  int64_t num_waiting() const { return waiting_.size(); }
  int64_t num_running() const { return running_.size(); }
  int64_t num_preemptions() const { return num_preemptions_; }
  const BlockPool& blocks() const { return pool_; }

  // Verifies the block accounting against every sequence's table; linear time, for
  // tests and debugging.
  Status CheckIntegrity() const;

 private:
  // Whether a waiting fork can start on its parent's blocks.
  struct PromptSource {
    enum Kind { kNone, kNotYet, kReady } kind = kNone;
    const Sequence* parent = nullptr;
  };

  explicit Scheduler(const SchedulerOptions& options);

  SequenceIndex NewSequence(SequenceId id, int64_t num_prompt_tokens, int64_t max_new_tokens);
  void ScheduleRunning();
  void AdmitWaiting();
  bool Admit(SequenceIndex index, const PromptSource& source, int64_t num_outstanding);
  PromptSource FindPromptSource(const Sequence& sequence) const;
  void SharePrompt(Sequence& child, const Sequence& parent, int64_t num_tokens);
  int64_t GrowBlocks(Sequence& sequence, int64_t num_tokens);
  bool PreemptBehind(const Order& order);
  void Preempt(SequenceIndex index);
  void AddEntry(SequenceIndex index, int64_t num_tokens);
  void GrantDrafts(const DraftProposal& proposal);
  void ReleaseBlocks(Sequence& sequence, int64_t num_kept);
  void Forget(SequenceIndex index);

  int64_t BlocksFor(int64_t num_tokens) const;
  // Blocks a running sequence still lacks for its known tokens and the next.
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
  bool draining_ = false;

  // The step in flight.
  bool in_flight_ = false;
  Plan plan_;
  std::vector<SequenceIndex> entry_indexes_;  // parallel to plan_.entries
  std::vector<SequenceId> ended_;
};

}  // namespace dray::scheduler
