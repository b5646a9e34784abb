// How sequences lose their blocks: one for others, all of them with the cache, or all but those of
// one request.
#include <algorithm>

#include "base/check.h"
#include "scheduler/scheduler.h"

namespace dray::scheduler {

void Scheduler::Preempt(SequenceIndex index) {
  Sequence& sequence = table_[index];
  ReleaseBlocks(sequence, 0);
  sequence.num_computed = 0;
  sequence.num_scheduled = 0;
  running_.Remove(table_, index);
  sequence.state = SequenceState::kWaiting;
  waiting_.InsertFromFront(table_, index);
  ++num_preemptions_;
}

std::span<const SequenceId> Scheduler::PreemptAll(std::span<const SequenceResult> results) {
  ended_.clear();
  if (!results.empty()) {
    DRAY_CHECK(num_in_flight_ > 0);
    const Step& oldest = *steps_.front();
    size_t num_used = 0;
    for (size_t i = 0; i < oldest.indexes.size(); ++i) {
      if (oldest.plan.entries[i].sampling == Sampling::kNo) continue;
      DRAY_CHECK(num_used < results.size());
      const SequenceResult& result = results[num_used++];
      Sequence& sequence = table_[oldest.indexes[i]];
      if (sequence.state == SequenceState::kCancelled) continue;
      sequence.held = result.outcome == Outcome::kHeld;
      if (result.num_new_tokens > 0) TakeTokens(oldest.indexes[i], result);
    }
    DRAY_CHECK(num_used == results.size());
  }
  for (size_t i = 0; i < num_in_flight_; ++i) {
    for (const SequenceIndex index : steps_[i]->indexes) {
      if (table_[index].state == SequenceState::kCancelled) Forget(index);
    }
  }
  num_in_flight_ = 0;
  while (!running_.empty()) Preempt(running_.back());
  return ended_;
}

void Scheduler::Isolate(SequenceId id) {
  const auto found = index_of_.find(id);
  DRAY_CHECK(found != index_of_.end());
  isolated_ = table_[found->second].order.arrival;
}

bool Scheduler::HasIsolated(const SequenceQueue& queue) const {
  SequenceIndex i = queue.front();
  while (i != kNoSequence && !MayRun(table_[i])) i = table_[i].next;
  return i != kNoSequence;
}

void Scheduler::PreemptOthers() {
  if (!HasIsolated(running_) && !HasIsolated(waiting_)) {
    EndIsolation();
    return;
  }
  for (SequenceIndex i = running_.front(); i != kNoSequence;) {
    const SequenceIndex next = table_[i].next;
    if (!MayRun(table_[i]) && !table_[i].in_flight()) {
      next_step_->plan.preempted.push_back(table_[i].id);
      Preempt(i);
    }
    i = next;
  }
}

}  // namespace dray::scheduler
