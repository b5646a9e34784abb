// The part of the scheduler that starts waiting sequences, on the blocks of a parent if they have one.
#include <algorithm>

#include "base/check.h"
#include "scheduler/scheduler.h"

namespace dray::scheduler {

void Scheduler::AdmitWaiting() {
  if (waiting_.empty()) return;
  // New sequences do not get the blocks that running ones will need soon, or they would be
  // preempted soon.
  int64_t num_outstanding = NumOutstandingBlocks();
  SequenceIndex i = waiting_.front();
  const int64_t most = MostEntries();
  while (i != kNoSequence && num_entries() < most &&
         next_step_->plan.num_tokens < options_.max_batch_tokens &&
         next_step_->num_prompt_tokens_left > 0) {
    const SequenceIndex next = table_[i].next;
    const PromptSource source = FindPromptSource(table_[i]);
    // A fork whose parent has not computed the prompt yet is passed over, because it waits for the
    // parent and not for its turn. A held beam waits for the other beams.
    if (source.kind != PromptSource::kNotYet && !table_[i].held && MayRun(table_[i])) {
      if (FirstTokens(table_[i], NumShared(table_[i], source)) == 0) return;
      while (!Admit(i, source, num_outstanding)) {
        if (!PreemptHeldBehind(table_[i].order) && !PreemptIfStuck(table_[i].order)) return;
        num_outstanding = NumOutstandingBlocks();
      }
      num_outstanding += OutstandingBlocks(table_[i]);
    }
    i = next;
  }
}

int64_t Scheduler::NumOutstandingBlocks() const {
  int64_t num_outstanding = 0;
  for (SequenceIndex i = running_.front(); i != kNoSequence; i = table_[i].next) {
    num_outstanding += OutstandingBlocks(table_[i]);
  }
  return num_outstanding;
}

Scheduler::PromptSource Scheduler::FindPromptSource(const Sequence& sequence) const {
  if (!sequence.parent) return {};
  const auto found = index_of_.find(sequence.parent->id);
  if (found == index_of_.end()) return {};
  const Sequence& parent = table_[found->second];
  if (parent.order.serial != sequence.parent->serial) return {};
  if (parent.num_computed < parent.num_prompt_tokens) {
    // A held beam without blocks computes nothing until its other beams have.
    return parent.held ? PromptSource{} : PromptSource{PromptSource::kNotYet, &parent};
  }
  return {PromptSource::kReady, &parent};
}

// Starts a waiting sequence if there are a place and blocks for its known tokens and the next one,
// beside the `num_outstanding` blocks that running sequences still lack.
bool Scheduler::Admit(SequenceIndex index, const PromptSource& source, int64_t num_outstanding) {
  if (running_.size() >= options_.max_sequences) return false;
  Sequence& sequence = table_[index];
  const int64_t num_shared = NumShared(sequence, source);
  const int64_t num_new_blocks =
      BlocksFor(sequence.num_known() + 1) - num_shared / options_.block_size;
  if (num_new_blocks > pool_.num_free() - num_outstanding) return false;
  const int64_t wanted = FirstTokens(sequence, num_shared);
  waiting_.Remove(table_, index);
  sequence.state = SequenceState::kRunning;
  running_.InsertFromBack(table_, index);
  if (num_shared > 0) SharePrompt(sequence, *source.parent, num_shared);
  const int64_t granted = GrowBlocks(sequence, sequence.num_computed, wanted);
  DRAY_CHECK(granted == wanted);
  next_step_->num_prompt_tokens_left -= granted;
  AddEntry(index, granted);
  return true;
}

// The last known token is always computed, because the next token is sampled from its logits.
int64_t Scheduler::NumShared(const Sequence& sequence, const PromptSource& source) const {
  if (source.kind != PromptSource::kReady) return 0;
  return std::min(sequence.num_prompt_tokens, sequence.num_known() - 1);
}

int64_t Scheduler::FirstTokens(const Sequence& sequence, int64_t num_shared) const {
  const bool is_whole = options_.whole_prompts && num_shared == 0;
  const int64_t least = is_whole ? sequence.num_prompt_tokens : 1;
  // A whole prompt may take more than what is left of the step's share of prompts, or a prompt longer
  // than the share would never start.
  const int64_t wanted = std::min({sequence.num_known() - num_shared,
                                   std::max(options_.max_prefill_chunk_tokens, least),
                                   options_.max_batch_tokens - next_step_->plan.num_tokens,
                                   std::max(next_step_->num_prompt_tokens_left, least)});
  return wanted < least ? 0 : wanted;
}

// Makes the parent's first `num_tokens` tokens computed tokens of the child. Whole blocks are
// shared. A partial last block is copied, because both sequences will write to it.
void Scheduler::SharePrompt(Sequence& child, const Sequence& parent, int64_t num_tokens) {
  const int64_t num_whole = num_tokens / options_.block_size;
  for (int64_t i = 0; i < num_whole; ++i) {
    pool_.Share(parent.blocks[i]);
    child.blocks.push_back(parent.blocks[i]);
  }
  if (num_tokens % options_.block_size != 0) {
    const auto copy = pool_.Allocate();
    DRAY_CHECK(copy.has_value());
    child.blocks.push_back(*copy);
    next_step_->plan.block_copies.push_back({.from = parent.blocks[num_whole], .to = *copy});
  }
  child.num_computed = num_tokens;
}

}  // namespace dray::scheduler
