// The part of the scheduler for beams: which blocks they share, and how they part.
#include <algorithm>

#include "base/check.h"
#include "scheduler/scheduler.h"

namespace dray::scheduler {

bool Scheduler::OwnNextBlock(Sequence& sequence, int64_t first) {
  const auto next = static_cast<size_t>(first / options_.block_size);
  if (next >= sequence.blocks.size()) return true;
  BlockId& block = sequence.blocks[next];
  while (pool_.num_holders(block) > 1) {
    if (const auto copy = pool_.Allocate()) {
      next_step_->plan.block_copies.push_back({.from = block, .to = *copy});
      pool_.Release(block);
      block = *copy;
    } else if (!PreemptBehind(sequence.order)) {
      return false;
    }
  }
  return true;
}

bool Scheduler::PreemptHeldBehind(const Order& order) {
  SequenceIndex i = running_.back();
  while (i != kNoSequence && order < table_[i].order && !table_[i].held) i = table_[i].previous;
  if (i == kNoSequence || !(order < table_[i].order)) return false;
  next_step_->plan.preempted.push_back(table_[i].id);
  Preempt(i);
  return true;
}

bool Scheduler::PreemptIfStuck(const Order& order) {
  return next_step_->plan.empty() && num_in_flight_ == 0 && !running_.empty() &&
         PreemptBehind(order);
}

// Returns the beam that a move names. A new one joins the beams as its parent's fork.
SequenceIndex Scheduler::IndexOfBeam(const BeamMove& move) {
  const auto found = index_of_.find(move.id);
  if (found != index_of_.end()) return found->second;
  const SequenceIndex parent = index_of_.at(move.parent);
  const SequenceIndex index =
      NewSequence(move.id, table_[parent].num_prompt_tokens, table_[parent].max_new_tokens);
  table_[index].order.arrival = table_[parent].order.arrival;
  table_[index].parent = ParentLink{move.parent, table_[parent].order.serial};
  table_[index].held = true;
  waiting_.InsertFromFront(table_, index);
  return index;
}

void Scheduler::ContinueBeams(std::span<const BeamMove> moves) {
  beam_indexes_.clear();
  for (const BeamMove& move : moves) beam_indexes_.push_back(IndexOfBeam(move));
  if (beam_starts_.size() < moves.size()) beam_starts_.resize(moves.size());
  // A block must not become free while any beam will hold it, so all are shared before the first is
  // released.
  for (size_t i = 0; i < moves.size(); ++i) {
    const SequenceIndex parent_index = index_of_.at(moves[i].parent);
    const Sequence& parent = table_[parent_index];
    DRAY_CHECK(parent.held && !parent.in_flight());
    BeamStart& start = beam_starts_[i];
    start.state = parent.state;
    start.num_generated = parent.num_generated + 1;
    start.num_computed = parent.num_computed;
    start.is_own = beam_indexes_[i] == parent_index;
    start.blocks.clear();
    if (start.is_own) continue;
    start.blocks.reserve(parent.blocks.capacity());
    start.blocks.assign(parent.blocks.begin(), parent.blocks.end());
    for (const BlockId block : start.blocks) pool_.Share(block);
  }
  for (size_t i = 0; i < moves.size(); ++i) ContinueBeam(beam_indexes_[i], beam_starts_[i]);
}

void Scheduler::ContinueBeam(SequenceIndex index, BeamStart& start) {
  Sequence& sequence = table_[index];
  DRAY_CHECK(sequence.held && !sequence.in_flight() &&
             start.num_generated < sequence.max_new_tokens);
  sequence.held = false;
  sequence.num_generated = start.num_generated;
  sequence.num_computed = start.num_computed;
  if (!start.is_own) {
    ReleaseBlocks(sequence, 0);
    sequence.blocks.swap(start.blocks);
  }
  if (sequence.state == start.state) return;
  // The parent ran and has blocks, so that this beam runs too, or both wait.
  const bool runs = start.state == SequenceState::kRunning;
  (runs ? waiting_ : running_).Remove(table_, index);
  sequence.state = start.state;
  if (runs) {
    running_.InsertFromBack(table_, index);
  } else {
    waiting_.InsertFromFront(table_, index);
  }
}

}  // namespace dray::scheduler
