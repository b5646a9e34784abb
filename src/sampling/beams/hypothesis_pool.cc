#include "sampling/beams/hypothesis_pool.h"

#include <algorithm>

namespace dray::sampling {

void HypothesisPool::Add(double score, int32_t node) {
  if (full() && !(score > worst_)) return;
  entries_.push_back({.score = score, .node = node});
  if (entries_.size() <= capacity_) {
    worst_ = std::min(worst_, score);
    return;
  }
  const auto is_below = [](const Entry& a, const Entry& b) { return a.score < b.score; };
  // Of equal scores, the first one goes.
  entries_.erase(std::min_element(entries_.begin(), entries_.end(), is_below));
  worst_ = std::min_element(entries_.begin(), entries_.end(), is_below)->score;
}

}  // namespace dray::sampling
