#include "parallel/rank_order_sum.h"

namespace dray::parallel {

Share ShareOf(int64_t count, Rank rank) {
  return {count * rank.index / rank.world, count * (rank.index + 1) / rank.world};
}

bool SharesPay(int64_t world, int64_t count, int64_t bytes_per_wait) {
  // From others, a rank gets (world - 1) * count numbers if it adds everything. Divided, it gets
  // (world - 1) * count / world to add, and as many results.
  const int64_t saved = (world - 1) * count - 2 * ((world - 1) * count / world);
  return saved * static_cast<int64_t>(sizeof(float)) > bytes_per_wait;
}

void AddPart(float* __restrict x, const float* __restrict part, int64_t count) {
  for (int64_t i = 0; i < count; ++i) x[i] += part[i];
}

}  // namespace dray::parallel
