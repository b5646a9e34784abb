#include "engine/recovery/suspects.h"

#include <algorithm>

namespace dray::engine {

namespace {

// The position behind the last known token that an entry computes.
int64_t EndOf(const scheduler::PlanEntry& entry) {
  return entry.first_token + entry.num_tokens - entry.num_drafts;
}

}  // namespace

bool Suspects::Advance(Sequence& sequence, int64_t end) {
  if (end <= sequence.num_reached) return false;
  sequence.num_reached = end;
  sequence.request->num_failures = 0;
  return true;
}

std::optional<RequestId> Suspects::OnFailure(std::span<const std::unique_ptr<StepInFlight>> steps) {
  std::vector<Request*> in_flight;
  for (const auto& step : steps) {
    for (const scheduler::PlanEntry& entry : step->plan->entries) {
      Sequence* sequence = requests_.Find(entry.id);
      if (sequence == nullptr) continue;
      // A step that has failed may have given some tokens before.
      const auto num_known = static_cast<int64_t>(sequence->tokens.size());
      if (num_known > sequence->num_prompt_tokens) Advance(*sequence, num_known - 1);
      if (EndOf(entry) <= sequence->num_reached) continue;
      if (std::find(in_flight.begin(), in_flight.end(), sequence->request) == in_flight.end()) {
        in_flight.push_back(sequence->request);
      }
    }
  }
  for (Request* request : in_flight) {
    if (++request->num_failures > 1) continue;
    if (std::find(suspects_.begin(), suspects_.end(), request->id) == suspects_.end()) {
      suspects_.push_back(request->id);
    }
  }
  const bool known = in_flight.size() == 1 && in_flight[0]->num_failures >= kFailuresToEnd;
  return known ? std::optional(in_flight[0]->id) : std::nullopt;
}

bool Suspects::OnComputed(const scheduler::Plan& plan) {
  bool advanced = false;
  for (const scheduler::PlanEntry& entry : plan.entries) {
    Sequence* sequence = requests_.Find(entry.id);
    if (sequence == nullptr) continue;
    advanced |= Advance(*sequence, EndOf(entry));
  }
  return advanced;
}

std::optional<SequenceId> Suspects::ToIsolate() {
  if (suspects_.empty()) return std::nullopt;
  std::erase_if(suspects_, [&](RequestId id) {
    const Request* request = requests_.Find(id);
    return request == nullptr || request->num_failures == 0;
  });
  for (const RequestId id : suspects_) {
    const Request& request = *requests_.Find(id);
    if (request.num_failures >= kFailuresToIsolate) return request.open_sequences.front();
  }
  return std::nullopt;
}

}  // namespace dray::engine
