#include "model/weights/balance/head_channels.h"

#include <algorithm>

namespace dray::model {

HeadChannels::HeadChannels(const StackConfig& stack)
    : head_dim_(stack.head_dim),
      heads_per_kv_head_(stack.num_heads / stack.num_kv_heads),
      kv_width_(stack.kv_width()),
      query_width_(stack.query_width()),
      rotary_dim_(stack.position == PositionKind::kRotary ? stack.rope.dim : 0),
      style_(stack.rope.style) {}

size_t HeadChannels::KvChannel(size_t query_channel) const {
  const auto channel = static_cast<int64_t>(query_channel);
  const int64_t head = channel / head_dim_;
  return static_cast<size_t>(head / heads_per_kv_head_ * head_dim_ + channel % head_dim_);
}

int64_t HeadChannels::Partner(int64_t dimension) const {
  if (dimension >= rotary_dim_) return dimension;
  if (style_ == RopeStyle::kInterleaved) return dimension ^ 1;
  const int64_t half = rotary_dim_ / 2;
  return dimension < half ? dimension + half : dimension - half;
}

std::vector<double> HeadChannels::SumGroups(std::span<const double> queries) const {
  std::vector<double> kv(static_cast<size_t>(kv_width_));
  for (size_t i = 0; i < queries.size(); ++i) kv[KvChannel(i)] += queries[i];
  return kv;
}

std::vector<double> HeadChannels::LargestOfGroups(std::span<const double> queries) const {
  std::vector<double> kv(static_cast<size_t>(kv_width_));
  for (size_t i = 0; i < queries.size(); ++i) {
    kv[KvChannel(i)] = std::max(kv[KvChannel(i)], queries[i]);
  }
  return kv;
}

std::vector<float> HeadChannels::ForQueries(std::span<const float> kv) const {
  std::vector<float> queries(static_cast<size_t>(query_width_));
  for (size_t i = 0; i < queries.size(); ++i) queries[i] = kv[KvChannel(i)];
  return queries;
}

std::vector<double> HeadChannels::SumPairs(std::span<const double> heads) const {
  std::vector<double> sums(heads.size());
  for (size_t i = 0; i < heads.size(); ++i) {
    const auto channel = static_cast<int64_t>(i);
    const int64_t head = channel / head_dim_ * head_dim_;
    const int64_t partner = Partner(channel - head);
    sums[i] = heads[i];
    if (head + partner != channel) sums[i] += heads[static_cast<size_t>(head + partner)];
  }
  return sums;
}

}  // namespace dray::model
