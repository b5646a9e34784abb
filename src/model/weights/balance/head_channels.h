// Which channels of query, key and value heads must have one factor.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/config/stack_config.h"

namespace dray::model {

// "kv" is the width of all key (or value) heads, "query" that of all query heads. Query heads
// [g * n, (g + 1) * n) share key/value head g, n being the number of query heads for each.
class HeadChannels {
 public:
  explicit HeadChannels(const StackConfig& stack);

  // [query] to [kv]: the sum, or the largest, over the query heads that share a key/value head.
  std::vector<double> SumGroups(std::span<const double> queries) const;
  std::vector<double> LargestOfGroups(std::span<const double> queries) const;
  // [kv] to [query]: the number of each query head's key/value head.
  std::vector<float> ForQueries(std::span<const float> kv) const;
  // For whole heads: each number plus that of the dimension which is rotated together with it.
  std::vector<double> SumPairs(std::span<const double> heads) const;

 private:
  // The channel of the query head's key/value head, for a channel of [query].
  size_t KvChannel(size_t query_channel) const;
  // The dimension of a head that is rotated together with this one; the same one if there is none.
  int64_t Partner(int64_t dimension) const;

  int64_t head_dim_;
  int64_t heads_per_kv_head_;
  int64_t kv_width_;
  int64_t query_width_;
  int64_t rotary_dim_;  // 0: nothing is rotated
  RopeStyle style_;
};

}  // namespace dray::model
