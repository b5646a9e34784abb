// What all communicators have in common: how a sum is divided among ranks, and the additions.
#pragma once

#include <algorithm>
#include <cstdint>

#include "parallel/shard.h"

namespace dray::parallel {

// The numbers [begin, end) of a sum that one rank adds for all.
struct Share {
  int64_t begin = 0;
  int64_t end = 0;

  int64_t count() const { return end - begin; }
};
// The share of rank.index in a sum of `count` numbers.
Share ShareOf(int64_t count, Rank rank);

// Whether a sum is divided into shares: each rank adds its share of all parts and gives the others
// its results. Otherwise each rank adds everything. Divided, a rank gets fewer bytes from others,
// but waits for them once more. It pays if the bytes that a rank saves are more than
// `bytes_per_wait`.
bool SharesPay(int64_t world, int64_t count, int64_t bytes_per_wait);

// Adds numbers of all ranks' parts to x [count], in the order of ranks. `part_of(rank)` is where the
// numbers of a rank are, [count]; they do not overlap x.
template <typename PartOf>
void AddInRankOrder(float* x, int64_t count, int64_t world, const PartOf& part_of);

// x[i] += part[i] for i in [0, count).
void AddPart(float* x, const float* part, int64_t count);

template <typename PartOf>
void AddInRankOrder(float* x, int64_t count, int64_t world, const PartOf& part_of) {
  // x stays in the first-level cache while all ranks' parts of one block are added to it.
  constexpr int64_t kBlock = 2048;
  for (int64_t from = 0; from < count; from += kBlock) {
    for (int64_t rank = 0; rank < world; ++rank) {
      AddPart(x + from, part_of(rank) + from, std::min(kBlock, count - from));
    }
  }
}

}  // namespace dray::parallel
