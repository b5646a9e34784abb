#include "engine/speculation/speculator.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "engine/runner/model_runner.h"

namespace dray::engine {
namespace {

// The time that one more row adds to a decode step, in units of a step of one row. It is the row's
// arithmetic over the time to read the weights, which all rows share. bench/speculation_bench found
// 0.04 to 0.08 for 1.3 billion parameters in bf16 and int8, up to 0.16 in int4, and 0.19 for a
// model that fits the processor's caches. DraftPolicy::LearnCosts begins with this value.
constexpr double kCostOfRow = 0.08;
// More guesses gain little even if all are right: with kCostOfRow a step of 17 rows yields tokens
// at 7.5 times the speed of single ones, and a step of 33 rows at 9 times.
constexpr int64_t kMostDrafts = 16;

using Clock = std::chrono::steady_clock;

}  // namespace

int64_t MaxDrafts(const Drafter* drafter, const EngineOptions& options) {
  if (drafter == nullptr) return 0;
  const int64_t asked = options.speculation.max_drafts;
  return asked > 0 ? std::min(asked, kMostDrafts) : kMostDrafts;
}

Speculator::Speculator(std::unique_ptr<Drafter> drafter, const EngineOptions& options,
                       RequestTable& requests)
    : drafter_(std::move(drafter)),
      requests_(requests),
      max_drafts_(MaxDrafts(drafter_.get(), options)) {
  if (drafter_ == nullptr) return;
  policy_ = DraftPolicy({.row = kCostOfRow, .guess = drafter_->CostOfGuess()}, drafter_->Priors());
  learns_costs_ = options.speculation.costs == SpeculationOptions::Costs::kMeasured;
}

Status Speculator::Prepare(const EngineOptions& options, const RunnerSpec& spec) {
  if (drafter_ == nullptr) return OkStatus();
  const auto sequences = static_cast<size_t>(spec.step.max_sequences);
  decoding_.reserve(sequences);
  proposals_.reserve(sequences);
  planned_.reserve(sequences);
  return drafter_->Prepare(options, spec);
}

void Speculator::Welcome(Sequence& sequence) const {
  sequence.drafts.tokens.reserve(static_cast<size_t>(max_drafts_));
  sequence.drafts.record = policy_.NewRecord();
}

std::span<const scheduler::DraftProposal> Speculator::Propose() {
  proposals_.clear();
  if (drafter_ == nullptr) return proposals_;
  for (const SequenceId id : decoding_) {
    Sequence* sequence = requests_.Find(id);
    if (sequence == nullptr) continue;
    SequenceDrafts& drafts = sequence->drafts;
    drafts.tokens.clear();
    const DraftOffer offer = drafter_->Offer(*sequence, max_drafts_);
    if (offer.num_drafts == 0) continue;
    drafts.kind = offer.kind;
    const int64_t num_drafts = policy_.NumDrafts(drafts.record, offer.kind, offer.num_drafts,
                                                 static_cast<int64_t>(decoding_.size()));
    if (num_drafts > 0) proposals_.push_back({id, num_drafts});
  }
  // If another plan is made before the next Learn, these sequences are in flight.
  decoding_.clear();
  return proposals_;
}

double Speculator::Draft(const scheduler::Plan& plan) {
  if (drafter_ == nullptr) return 0;
  const auto start = Clock::now();
  for (const SequenceId id : plan.preempted) {
    if (Sequence* sequence = requests_.Find(id)) drafter_->OnPreempted(*sequence);
  }
  planned_.clear();
  for (const scheduler::PlanEntry& entry : plan.entries) {
    Sequence* sequence = requests_.Find(entry.id);
    DRAY_CHECK(sequence != nullptr);
    planned_.push_back({&entry, sequence});
  }
  const Status status = drafter_->Draft(planned_, plan.block_copies);
  if (!status.ok()) GiveUp(status);
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void Speculator::Learn(const scheduler::Plan& plan,
                       std::span<const scheduler::SequenceResult> results,
                       const StepSeconds& seconds) {
  if (drafter_ == nullptr) return;
  decoding_.clear();
  size_t num_results = 0;
  for (const scheduler::PlanEntry& entry : plan.entries) {
    if (entry.sampling == scheduler::Sampling::kYes) {
      LearnFromResult(entry, results[num_results++]);
    }
  }
  if (learns_costs_) LearnFromClock(plan, seconds);
}

void Speculator::LearnFromResult(const scheduler::PlanEntry& entry,
                                 const scheduler::SequenceResult& result) {
  Sequence* sequence = requests_.Find(entry.id);
  if (sequence == nullptr) return;
  const bool goes_on = result.outcome == scheduler::Outcome::kGoesOn;
  if (goes_on) decoding_.push_back(entry.id);
  if (entry.num_drafts == 0) return;
  num_drafted_ += static_cast<uint64_t>(entry.num_drafts);
  num_accepted_ += static_cast<uint64_t>(result.num_accepted);
  // Guesses behind the end of a sequence were not checked.
  policy_.Learn(sequence->drafts.record, sequence->drafts.kind,
                goes_on ? entry.num_drafts : result.num_accepted, result.num_accepted);
  drafter_->OnChecked(*sequence);
}

void Speculator::LearnFromClock(const scheduler::Plan& plan, const StepSeconds& seconds) {
  StepTime step = {.seconds = seconds.compute, .guess_seconds = seconds.guess};
  for (const scheduler::PlanEntry& entry : plan.entries) {
    if (entry.num_tokens - entry.num_drafts > 1 || entry.sampling == scheduler::Sampling::kNo) {
      policy_.BreakSeries();
      return;
    }
    step.rows += entry.num_tokens;
    step.guess_rounds = std::max(step.guess_rounds, entry.num_drafts);
  }
  policy_.LearnCosts(step);
}

void Speculator::Abandon() {
  decoding_.clear();
  policy_.BreakSeries();
  if (drafter_ == nullptr) return;
  drafter_->OnAbandoned();
  requests_.ForEachSequence([&](Sequence& sequence) { drafter_->OnPreempted(sequence); });
}

void Speculator::GiveUp(const Status& status) {
  LogError(fmt::format("guessing tokens failed, and ends for this model: {}", status.ToString()));
  // The plan has places for guesses that were not made. Any token may stand there.
  for (const PlannedSequence& planned : planned_) {
    std::vector<int32_t>& tokens = planned.sequence->drafts.tokens;
    const auto wanted = static_cast<size_t>(planned.entry->num_drafts);
    if (tokens.size() < wanted) tokens.resize(wanted, 0);
  }
  drafter_.reset();
}

}  // namespace dray::engine
