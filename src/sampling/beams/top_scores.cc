#include "sampling/beams/top_scores.h"

#include <algorithm>
#include <functional>

namespace dray::sampling {
namespace {

// torch's threshold (aten/src/ATen/native/cpu/SortingKernel.cpp).
constexpr size_t kHeapShare = 64;

bool IsAbove(const RankedScore& a, const RankedScore& b) { return a.score > b.score; }

}  // namespace

bool ChoosesByHeap(size_t count, size_t num_scores) { return count * kHeapShare <= num_scores; }

void TakeTop(std::span<RankedScore> scores, size_t count, size_t num_scores) {
  const auto end = scores.begin() + static_cast<std::ptrdiff_t>(count);
  if (ChoosesByHeap(count, num_scores)) {
    std::partial_sort(scores.begin(), end, scores.end(), IsAbove);
  } else {
    std::nth_element(scores.begin(), end - 1, scores.end(), IsAbove);
    std::sort(scores.begin(), end - 1, IsAbove);
  }
}

void RowFilter::Filter(std::span<const float> scores, size_t count, std::vector<int32_t>& kept) {
  const size_t num_first = std::min(count, scores.size());
  kept.clear();
  largest_.assign(scores.begin(), scores.begin() + static_cast<std::ptrdiff_t>(num_first));
  std::make_heap(largest_.begin(), largest_.end(), std::greater<>());
  for (size_t i = 0; i < num_first; ++i) kept.push_back(static_cast<int32_t>(i));
  for (size_t i = num_first; i < scores.size(); ++i) {
    if (!(scores[i] > largest_.front())) continue;
    kept.push_back(static_cast<int32_t>(i));
    std::pop_heap(largest_.begin(), largest_.end(), std::greater<>());
    largest_.back() = scores[i];
    std::push_heap(largest_.begin(), largest_.end(), std::greater<>());
  }
}

}  // namespace dray::sampling
