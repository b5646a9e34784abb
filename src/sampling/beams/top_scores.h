// The largest scores of a list, in the order in which torch.topk returns them on a processor.
//
// Equal scores have no order of their own. torch.topk leaves it to std::partial_sort, or to
// std::nth_element and std::sort, of the C++ library of GCC. This folder runs the same algorithms on
// the same values, so that beam search breaks ties as transformers does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace dray::sampling {

struct RankedScore {
  float score = 0;
  int32_t index = 0;  // of the caller's choice; not compared
};

// Whether torch.topk chooses `count` of `num_scores` by a heap (std::partial_sort). The heap ignores
// every score that is not above the `count` largest before it, so such scores may be left out.
bool ChoosesByHeap(size_t count, size_t num_scores);

// Puts the `count` largest of `scores` first, in torch.topk's order. `scores` are those of
// `num_scores` that were not left out (see ChoosesByHeap), in their order. 0 < count <= scores.size().
void TakeTop(std::span<RankedScore> scores, size_t count, size_t num_scores);

// Finds the scores of one row that torch.topk may choose when it takes `count` of several rows that
// follow each other. Reuses its memory.
class RowFilter {
 public:
  // Fills `kept` with the indexes, in ascending order, of the first `count` scores and of every
  // later one that is above the `count` largest before it.
  void Filter(std::span<const float> scores, size_t count, std::vector<int32_t>& kept);

 private:
  std::vector<float> largest_;  // a heap whose front is the least of them
};

}  // namespace dray::sampling
