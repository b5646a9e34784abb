#include "sampling/candidates.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>

#include "base/check.h"

namespace dray::sampling {
namespace {

using Ranked = SamplingWorkspace::Ranked;

bool RanksBefore(const Ranked& a, const Ranked& b) {
  return a.key != b.key ? a.key > b.key : a.token_id < b.token_id;
}

// The k-th largest logit, 1 <= k <= logits.size().
float KthLargest(std::span<const float> logits, size_t k, std::vector<float>& values) {
  // A heap of the k largest costs one comparison for nearly every logit while k is small.
  constexpr size_t kLargestHeap = 256;
  if (k > kLargestHeap) {
    values.assign(logits.begin(), logits.end());
    const auto kth = values.begin() + static_cast<std::ptrdiff_t>(k - 1);
    std::nth_element(values.begin(), kth, values.end(), std::greater<>());
    return *kth;
  }
  values.assign(logits.begin(), logits.begin() + static_cast<std::ptrdiff_t>(k));
  std::make_heap(values.begin(), values.end(), std::greater<>());
  for (const float logit : logits.subspan(k)) {
    if (!(logit > values.front())) continue;
    std::pop_heap(values.begin(), values.end(), std::greater<>());
    values.back() = logit;
    std::push_heap(values.begin(), values.end(), std::greater<>());
  }
  return values.front();
}

// Moves a pivot's place in the order to where it would be sorted to, what ranks before it to the
// left; returns its index. The pivot is the median of three, so that rows that are sorted already
// are no bad case.
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

// Of the items in rank order, the last one of the shortest beginning (of one at least) whose
// weights reach `target`. Reorders the items. Takes linear time: each round discards the part that
// the sum of weights shows not to hold it.
Ranked FindBoundary(std::span<Ranked> items, double target) {
  constexpr size_t kSmall = 32;
  double before = 0;  // weight of the items discarded on the left
  // Unlucky pivots cannot take more than time n log n: then the rest is sorted.
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

double TotalWeight(const std::vector<Candidate>& candidates) {
  double total = 0;
  for (const Candidate& candidate : candidates) total += candidate.weight;
  return total;
}

void CollectCandidates(const SamplingParams& params, std::span<const float> logits,
                       SamplingWorkspace& workspace) {
  float least = std::numeric_limits<float>::lowest();
  if (params.top_k > 0 && static_cast<size_t>(params.top_k) < logits.size()) {
    const float kth = KthLargest(logits, static_cast<size_t>(params.top_k), workspace.values);
    least = std::max(least, kth);
  }
  std::vector<Candidate>& candidates = workspace.candidates;
  candidates.clear();
  for (size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] >= least) candidates.push_back({static_cast<int32_t>(i), logits[i], 0});
  }
  // A loop of its own, which vectorizes.
  for (Candidate& candidate : candidates) {
    candidate.weight = ExpOfNonPositive(candidate.logit);
  }
}

void KeepTopP(double top_p, SamplingWorkspace& workspace) {
  std::vector<Candidate>& candidates = workspace.candidates;
  workspace.ranked.clear();
  for (const Candidate& c : candidates) workspace.ranked.push_back({c.logit, c.token_id, c.weight});
  const Ranked last = FindBoundary(workspace.ranked, top_p * TotalWeight(candidates));
  std::erase_if(candidates, [&](const Candidate& c) {
    return RanksBefore(last, {c.logit, c.token_id, c.weight});
  });
}

// The largest weight is 1: no cut takes the likeliest token but typical-p, which is last.
void KeepMinP(double min_p, SamplingWorkspace& workspace) {
  const auto least = static_cast<float>(min_p);
  std::erase_if(workspace.candidates, [=](const Candidate& c) { return c.weight < least; });
}

void KeepTypical(double typical_p, SamplingWorkspace& workspace) {
  std::vector<Candidate>& candidates = workspace.candidates;
  const double total = TotalWeight(candidates);
  // A token's surprise, -log p, is log(total) - logit. The entropy is the mean surprise, so the
  // logarithm drops out of their difference.
  double mean_logit = 0;
  for (const Candidate& c : candidates) {
    if (c.weight > 0) mean_logit += static_cast<double>(c.weight) * c.logit / total;
  }
  const auto rank = [mean_logit](const Candidate& c) {
    return Ranked{-std::abs(static_cast<float>(mean_logit - c.logit)), c.token_id, c.weight};
  };
  workspace.ranked.clear();
  for (const Candidate& c : candidates) workspace.ranked.push_back(rank(c));
  const float least = FindBoundary(workspace.ranked, typical_p * total).key;
  std::erase_if(candidates, [&](const Candidate& c) { return rank(c).key < least; });
}

}  // namespace

void SamplingWorkspace::Reserve(size_t vocab) {
  candidates.reserve(vocab);
  model_logits.reserve(vocab);
  ranked.reserve(vocab);
  values.reserve(vocab);
}

void SelectCandidates(const SamplingParams& params, float max, std::span<float> logits,
                      SamplingWorkspace& workspace) {
  workspace.Reserve(logits.size());
  const auto temperature = static_cast<float>(params.temperature);
  for (float& logit : logits) logit = (logit - max) / temperature;
  CollectCandidates(params, logits, workspace);
  if (params.top_p < 1.0) KeepTopP(params.top_p, workspace);
  if (params.min_p > 0.0) KeepMinP(params.min_p, workspace);
  if (params.typical_p < 1.0) KeepTypical(params.typical_p, workspace);
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
  // Not reached: the sums are added in the same order, and uniform < 1. Rounding of the product
  // aside:
  return std::find_if(candidates.rbegin(), candidates.rend(),
                      [](const Candidate& c) { return c.weight > 0; })
      ->token_id;
}

}  // namespace dray::sampling
