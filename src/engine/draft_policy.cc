#include "engine/draft_policy.h"

#include <algorithm>

namespace dray::engine {
namespace {

// Weight of one guess's outcome in the running average: of a sequence, which may change its manner
// within a few sentences; and of the engine, of which a new sequence knows nothing better.
constexpr float kSequenceWeight = 1.0F / 8;
constexpr float kEngineWeight = 1.0F / 128;
// An average of outcomes is never sure.
constexpr float kMaxAcceptance = 0.98F;
// Guessing must promise this much more tokens a second than not guessing: estimates of costs and
// acceptance are no better than that.
constexpr double kMinGain = 1.03;
// Guesses that do not pay are tried again, one alone, after 4, 8, ... 64 offers. One row more in 64
// steps is far below one percent, and a text that turns repetitive is noticed within a sentence or
// two.
constexpr int32_t kFirstWait = 4;
constexpr int32_t kLongestWait = 64;

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

// All sequences are taken to be alike: then what is best for one is best for all. k guesses of
// acceptance p yield 1 + p + ... + p^k tokens.
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
  // With so many sequences that the best guesses do not pay there is nothing to find out.
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

}  // namespace dray::engine
