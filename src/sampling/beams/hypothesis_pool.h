// The finished hypotheses of a group of beams: as many as the group has beams, the best ones. As
// transformers 4's BeamHypotheses, also in what is kept of equal scores.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace dray::sampling {

class HypothesisPool {
 public:
  struct Entry {
    double score = 0;
    int32_t node = 0;  // of the TokenTree
  };

  explicit HypothesisPool(size_t capacity) : capacity_(capacity) {}

  // Adds a hypothesis if there is room or if it is better than the worst one, which it replaces.
  void Add(double score, int32_t node);
  bool full() const { return entries_.size() >= capacity_; }
  // The lowest score; there must be a hypothesis.
  double worst() const { return worst_; }
  // In the order in which they came.
  std::span<const Entry> entries() const { return entries_; }

 private:
  // worst() of an empty pool.
  static constexpr double kNoScore = 1e9;

  size_t capacity_;
  std::vector<Entry> entries_;
  double worst_ = kNoScore;
};

}  // namespace dray::sampling
