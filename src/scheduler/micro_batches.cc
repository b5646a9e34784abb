// The part of the scheduler that divides sequences and prompts among the steps of a pipeline.
#include <algorithm>
#include <span>

#include "base/checked_math.h"
#include "scheduler/pipeline_costs.h"
#include "scheduler/scheduler.h"

namespace dray::scheduler {

int64_t Scheduler::NumCandidates() const {
  return std::min<int64_t>(running_.size() + waiting_.size(), options_.max_sequences);
}

int64_t Scheduler::MostEntries() const {
  const int64_t candidates = NumCandidates();
  return DivideRoundUp(candidates, NumMicroBatches(options_.pipeline, candidates));
}

bool Scheduler::DecodesWait() const {
  if (options_.pipeline.num_stages == 1) return false;
  const auto in_flight = std::span(steps_).first(num_in_flight_);
  const int64_t num_steps = std::count_if(in_flight.begin(), in_flight.end(),
                                          [](const auto& step) { return step->has_decodes; });
  return num_steps >= NumMicroBatches(options_.pipeline, NumCandidates());
}

int64_t Scheduler::NumPromptTokens() const {
  if (options_.pipeline.num_stages == 1) return 0;
  int64_t num_tokens = 0;
  int64_t left = NumCandidates();
  for (const SequenceQueue* queue : {&running_, &waiting_}) {
    for (SequenceIndex i = queue->front(); i != kNoSequence && left > 0; i = table_[i].next) {
      --left;
      if (!table_[i].held && table_[i].num_pending() > 1) num_tokens += table_[i].num_unplanned();
    }
  }
  return num_tokens;
}

}  // namespace dray::scheduler
