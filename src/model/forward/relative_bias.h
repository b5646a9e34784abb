// Relative positions as T5 has them. The distance from a query to a key falls into one of some
// buckets: one for each short distance, and wider ones, on a logarithmic scale, for longer distances.
// Each bucket has a learned number for each head, which is added to the scores.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/ops.h"
#include "model/config/stack_config.h"
#include "parallel/shard.h"

namespace dray::model {

// The bucket of a key that lies `distance` tokens behind the query (before it, if it is negative), in
// [0, num_buckets). With a full mask, half of the buckets are for keys behind the query. With a causal
// mask there are no such keys, and their bucket is that of distance 0.
int64_t RelativeBucket(const RelativePositions& positions, AttentionMask mask, int64_t distance);

// The values of a kernels::RelativeBias of reach positions.max_distance. `table` is
// [num_buckets, num_heads]. `heads` are those of the rank; its padded heads have zeros.
std::vector<float> SpreadRelativeBias(const StackConfig& stack, std::span<const float> table,
                                      int64_t num_heads, const parallel::Slice& heads);

}  // namespace dray::model
