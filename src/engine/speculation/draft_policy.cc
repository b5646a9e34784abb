#include "engine/speculation/draft_policy.h"

#include <algorithm>
#include <utility>

namespace dray::engine {
namespace {

// The weight of one guess's outcome in a running average. The average of a sequence must follow a
// text that changes within a few sentences. The average of the engine is for new sequences.
constexpr float kSequenceWeight = 1.0F / 8;
constexpr float kEngineWeight = 1.0F / 128;
// The largest acceptance that is believed.
constexpr float kMaxAcceptance = 0.98F;
// Guessing must promise this factor in tokens a second over not guessing. The estimates of costs
// and acceptance are not more precise than that.
constexpr double kMinGain = 1.03;
// If guesses do not pay, a single guess is tried again after 4, 8, ... 128 offers. One additional
// row in 128 steps costs less than one percent even if rows are a step's only cost, and a text that
// begins to repeat itself is noticed within a paragraph.
constexpr int32_t kFirstWait = 4;
constexpr int32_t kLongestWait = 128;

// Each observation changes an estimate by this factor: 24 of them double or halve it.
constexpr double kCostStep = 1.03;
// The bounds of what a row or a guess costs. A row's arithmetic is never free. If it takes half a
// step, guessing does not pay anyway.
constexpr double kLeastCost = 0.01;
constexpr double kMostCost = 0.5;

void MoveTowards(double seen, double& belief) {
  belief =
      std::clamp(seen > belief ? belief * kCostStep : belief / kCostStep, kLeastCost, kMostCost);
}

void Update(DraftRecord::Kind& kind, float weight, int64_t num_drafts, int64_t num_accepted) {
  for (int64_t i = 0; i < num_accepted; ++i) kind.acceptance += weight * (1 - kind.acceptance);
  if (num_accepted < num_drafts) kind.acceptance -= weight * kind.acceptance;
}

}  // namespace

DraftPolicy::DraftPolicy(const DraftCosts& costs, std::span<const float> priors) : costs_(costs) {
  for (size_t i = 0; i < std::min(priors.size(), recent_.kinds.size()); ++i) {
    recent_.kinds[i] = {.acceptance = priors[i], .interval = kFirstWait};
  }
}

// Assumes that all sequences are alike, so that the best number for one is the best for all. k
// guesses of acceptance p yield 1 + p + ... + p^k tokens.
int64_t DraftPolicy::BestLength(double acceptance, int64_t most, int64_t num_sequences) const {
  const auto rows = static_cast<double>(num_sequences);
  double cost = 1 + costs_.row * (rows - 1);
  double tokens = 1;
  double best_rate = kMinGain / cost;
  int64_t best = 0;
  double chance = 1;
  for (int64_t k = 1; k <= most; ++k) {
    chance *= acceptance;
    tokens += chance;
    cost += costs_.row * rows + costs_.guess;
    if (tokens / cost <= best_rate) continue;
    best_rate = tokens / cost;
    best = k;
  }
  return best;
}

int64_t DraftPolicy::NumDrafts(DraftRecord& record, int kind, int64_t most,
                               int64_t num_sequences) const {
  DraftRecord::Kind& known = record.kinds[static_cast<size_t>(kind)];
  const float acceptance = std::min(known.acceptance, kMaxAcceptance);
  const int64_t best = BestLength(acceptance, most, num_sequences);
  if (best > 0) return best;
  if (known.wait > 0) {
    --known.wait;
    return 0;
  }
  // If not even the best guesses pay with so many sequences, there is nothing to try.
  return BestLength(kMaxAcceptance, most, num_sequences) > 0 ? 1 : 0;
}

void DraftPolicy::Learn(DraftRecord& record, int kind, int64_t num_drafts, int64_t num_accepted) {
  const auto index = static_cast<size_t>(kind);
  DraftRecord::Kind& known = record.kinds[index];
  Update(known, kSequenceWeight, num_drafts, num_accepted);
  Update(recent_.kinds[index], kEngineWeight, num_drafts, num_accepted);
  if (num_accepted == num_drafts) {
    known.wait = 0;
    known.interval = kFirstWait;
  } else {
    known.wait = known.interval;
    known.interval = std::min(2 * known.interval, kLongestWait);
  }
}

// With a step of one row as the unit, R rows take 1 + costs_.row * (R - 1).
void DraftPolicy::LearnCosts(const StepTime& step) {
  const StepTime last = std::exchange(last_step_, step);
  if (step.seconds <= 0) return;
  if (step.guess_rounds > 0 && costs_.guess > 0) {
    const double unit = step.seconds / (1 + costs_.row * static_cast<double>(step.rows - 1));
    MoveTowards(step.guess_seconds / static_cast<double>(step.guess_rounds) / unit, costs_.guess);
  }
  if (last.seconds <= 0 || last.rows == step.rows) return;
  const StepTime& few = last.rows < step.rows ? last : step;
  const StepTime& many = last.rows < step.rows ? step : last;
  const double ratio = many.seconds / few.seconds;
  const double room =
      static_cast<double>(many.rows - 1) - ratio * static_cast<double>(few.rows - 1);
  // The formula above, for both steps, solved for the row's cost. If the times differ by as much as
  // the rows, no cost explains that.
  MoveTowards(room <= 0 ? kMostCost : (ratio - 1) / room, costs_.row);
}

}  // namespace dray::engine
