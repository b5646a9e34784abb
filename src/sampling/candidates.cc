#include "sampling/candidates.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

#include "base/check.h"

namespace dray::sampling {
namespace {

using Ranked = SamplingWorkspace::Ranked;

bool RanksBefore(const Ranked& a, const Ranked& b) {
  return a.key != b.key ? a.key > b.key : a.token_id < b.token_id;
}

// Returns the k-th largest logit, k in [1, logits.size()]. `scratch` must have room for all logits.
float KthLargest(std::span<const float> logits, size_t k, std::span<float> scratch) {
  // While k is small, a heap of the k largest costs one comparison for nearly every logit.
  constexpr size_t kLargestHeap = 256;
  if (k > kLargestHeap) {
    std::copy(logits.begin(), logits.end(), scratch.begin());
    const auto end = scratch.begin() + static_cast<std::ptrdiff_t>(logits.size());
    const auto kth = scratch.begin() + static_cast<std::ptrdiff_t>(k - 1);
    std::nth_element(scratch.begin(), kth, end, std::greater<>());
    return *kth;
  }
  const std::span<float> heap = scratch.first(k);
  std::copy(logits.begin(), logits.begin() + static_cast<std::ptrdiff_t>(k), heap.begin());
  std::make_heap(heap.begin(), heap.end(), std::greater<>());
  for (const float logit : logits.subspan(k)) {
    if (!(logit > heap.front())) continue;
    std::pop_heap(heap.begin(), heap.end(), std::greater<>());
    heap.back() = logit;
    std::push_heap(heap.begin(), heap.end(), std::greater<>());
  }
  return heap.front();
}

// Chooses a pivot, moves it to the place that sorting would give it, and moves the items that rank
// before it to its left. Returns the pivot's index. The pivot is the median of three items, so that
// rows that are sorted already take no longer than others.
size_t Partition(std::span<Ranked> items) {
  Ranked* const first = items.data();
  Ranked* const last = first + items.size() - 1;
  Ranked* const middle = first + items.size() / 2;
  Ranked* const low = RanksBefore(*first, *middle) ? first : middle;
  Ranked* const high = low == first ? middle : first;
  Ranked* const pivot = RanksBefore(*last, *low) ? low : RanksBefore(*high, *last) ? high : last;
  std::swap(*pivot, *last);
  Ranked* const place =
      std::partition(first, last, [last](const Ranked& item) { return RanksBefore(item, *last); });
  std::swap(*place, *last);
  return static_cast<size_t>(place - first);
}

// Takes items in rank order until their weights sum up to `target` (at least one item) and returns
// the last one taken. Reorders the items. Takes linear time: each round compares a sum of weights
// with the target and discards the part of the items that cannot hold the result.
Ranked FindBoundary(std::span<Ranked> items, double target) {
  constexpr size_t kSmall = 32;
  double before = 0;  // weight of the items discarded on the left
  // The number of rounds is bounded; what is left after them is sorted. So unlucky pivots cost at
  // most n log n time.
  for (int rounds = 2 * std::bit_width(items.size()); items.size() > kSmall && rounds > 0;
       --rounds) {
    const size_t pivot = Partition(items);
    double left = 0;
    for (const Ranked& item : items.first(pivot)) left += item.weight;
    if (pivot > 0 && before + left >= target) {
      items = items.first(pivot);
      continue;
    }
    before += left + items[pivot].weight;
    if (before >= target || pivot + 1 == items.size()) return items[pivot];
    items = items.subspan(pivot + 1);
  }
  std::sort(items.begin(), items.end(), RanksBefore);
  for (const Ranked& item : items) {
    before += item.weight;
    if (before >= target) return item;
  }
  return items.back();
}

// Takes candidates in the order of `rank` until they hold this share of the weight, and returns the
// last one taken. Keys must not be positive. Candidates are first summed up by range of keys; only
// those in the range where the share is reached are ranked one by one.
template <typename Rank>
Ranked FindCut(double share, Rank rank, SamplingWorkspace& workspace) {
  constexpr size_t kNumRanges = 256;
  constexpr float kRangesPerUnit = 8;
  const auto range_of = [](float key) {
    return static_cast<size_t>(std::min(-key * kRangesPerUnit, kNumRanges - 1.0f));
  };
  double weights[kNumRanges] = {};
  for (const Candidate& c : workspace.candidates()) weights[range_of(rank(c).key)] += c.weight;
  // The loop below adds the weights in the same order. So the sums agree bit for bit, and the
  // share, being below 1, is reached at the last range with weight at the latest.
  const double target = share * std::accumulate(std::begin(weights), std::end(weights), 0.0);
  size_t range = 0;
  double before = 0;
  while (weights[range] == 0 || before + weights[range] < target) before += weights[range++];
  Ranked* const ranked = workspace.ranked_buffer.data();
  size_t num_ranked = 0;
  for (const Candidate& c : workspace.candidates()) {
    ranked[num_ranked] = rank(c);
    num_ranked += range_of(ranked[num_ranked].key) == range ? 1 : 0;
  }
  return FindBoundary({ranked, num_ranked}, target - before);
}

template <typename Keep>
void KeepIf(Keep keep, SamplingWorkspace& workspace) {
  Candidate* const candidates = workspace.candidate_buffer.data();
  size_t num_kept = 0;
  for (size_t i = 0; i < workspace.num_candidates; ++i) {
    const Candidate candidate = candidates[i];
    candidates[num_kept] = candidate;
    num_kept += keep(candidate) ? 1 : 0;
  }
  workspace.num_candidates = num_kept;
}

// Returns `last`, or, if fewer than `least` candidates would be kept up to it, the `least`-th one in the
// order of `rank`, or the last of all.
template <typename Rank>
Ranked AtLeast(size_t least, const Ranked& last, Rank rank, SamplingWorkspace& workspace) {
  if (least <= 1 || workspace.num_candidates == 0) return last;
  const std::span<Ranked> ranked =
      std::span(workspace.ranked_buffer).first(workspace.num_candidates);
  std::transform(workspace.candidates().begin(), workspace.candidates().end(), ranked.begin(),
                 rank);
  const auto nth = ranked.begin() + static_cast<std::ptrdiff_t>(std::min(least, ranked.size()) - 1);
  std::nth_element(ranked.begin(), nth, ranked.end(), RanksBefore);
  return RanksBefore(last, *nth) ? *nth : last;
}

Ranked RankByLogit(const Candidate& c) { return {c.logit, c.token_id, c.weight}; }

void CollectCandidates(const SamplingParams& params, std::span<const float> logits,
                       size_t least_count, SamplingWorkspace& workspace) {
  float least = std::numeric_limits<float>::lowest();
  const size_t top_k =
      std::max(static_cast<size_t>(std::max<int64_t>(params.top_k, 0)), least_count);
  if (params.top_k > 0 && top_k < logits.size()) {
    const float kth = KthLargest(logits, top_k, workspace.values);
    least = std::max(least, kth);
  }
  Candidate* const candidates = workspace.candidate_buffer.data();
  float* const weights = workspace.values.data();
  size_t n = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    candidates[n] = {static_cast<int32_t>(i), logits[i], 0};
    weights[n] = logits[i];
    n += logits[i] >= least ? 1 : 0;
  }
  ExpAll({weights, n});
  for (size_t i = 0; i < n; ++i) candidates[i].weight = weights[i];
  workspace.num_candidates = n;
}

void KeepTopP(double top_p, size_t least, SamplingWorkspace& workspace) {
  const Ranked cut = FindCut(top_p, RankByLogit, workspace);
  const Ranked last = AtLeast(least, cut, RankByLogit, workspace);
  KeepIf([&](const Candidate& c) { return !RanksBefore(last, RankByLogit(c)); }, workspace);
}

// The likeliest token has weight 1, so it stays. Only the typical-p cut, which comes last, can
// remove it.
void KeepMinP(double min_p, size_t least, SamplingWorkspace& workspace) {
  auto weight = static_cast<float>(min_p);
  if (least > 1) {
    const Ranked none = {.key = 0, .token_id = -1};  // before all candidates
    weight = std::min(weight, AtLeast(least, none, RankByLogit, workspace).weight);
  }
  KeepIf([=](const Candidate& c) { return c.weight >= weight; }, workspace);
}

void KeepTypical(double typical_p, size_t least_count, SamplingWorkspace& workspace) {
  // A token's surprise is -log p = log(total weight) - logit, and the entropy is the mean surprise.
  // In their difference the logarithm cancels out.
  double total = 0;
  double weighted_logits = 0;
  for (const Candidate& c : workspace.candidates()) {
    if (c.weight == 0) continue;
    total += c.weight;
    weighted_logits += static_cast<double>(c.weight) * c.logit;
  }
  const auto mean_logit = static_cast<float>(weighted_logits / total);
  const auto rank = [mean_logit](const Candidate& c) {
    return Ranked{-std::abs(mean_logit - c.logit), c.token_id, c.weight};
  };
  const Ranked cut = FindCut(typical_p, rank, workspace);
  const float least = AtLeast(least_count, cut, rank, workspace).key;
  KeepIf([&](const Candidate& c) { return rank(c).key >= least; }, workspace);
}

}  // namespace

void SamplingWorkspace::Grow(size_t vocab) {
  if (vocab <= candidate_buffer.size()) return;
  candidate_buffer.resize(vocab);
  ranked_buffer.resize(vocab);
  values.resize(vocab);
}

void SelectCandidates(const SamplingParams& params, float max, std::span<float> logits,
                      SamplingWorkspace& workspace, size_t least) {
  workspace.Grow(logits.size());
  const auto temperature = static_cast<float>(params.temperature);
  for (float& logit : logits) logit = (logit - max) / temperature;
  CollectCandidates(params, logits, least, workspace);
  if (params.top_p < 1.0) KeepTopP(params.top_p, least, workspace);
  if (params.min_p > 0.0) KeepMinP(params.min_p, least, workspace);
  if (params.typical_p < 1.0) KeepTypical(params.typical_p, least, workspace);
}

int32_t PickCandidate(std::span<const Candidate> candidates, double uniform) {
  DRAY_CHECK(!candidates.empty());
  double total = 0;
  for (const Candidate& candidate : candidates) total += candidate.weight;
  const double target = uniform * total;
  double sum = 0;
  for (const Candidate& candidate : candidates) {
    sum += candidate.weight;
    if (sum > target) return candidate.token_id;
  }
  // Only rounding of uniform * total can lead here: both loops add the weights in the same order,
  // and uniform < 1. The last token with weight is then the right one.
  return std::find_if(candidates.rbegin(), candidates.rend(),
                      [](const Candidate& c) { return c.weight > 0; })
      ->token_id;
}

}  // namespace dray::sampling
