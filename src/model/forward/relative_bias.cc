#include "model/forward/relative_bias.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace dray::model {
namespace {

// The bucket of a distance of at least 0, of `num_buckets` for its direction.
int64_t BucketOf(int64_t distance, int64_t num_buckets, int64_t max_distance) {
  const int64_t num_exact = num_buckets / 2;
  if (distance < num_exact) return distance;
  // In f32, as transformers computes it: at the edge of a bucket the rounding decides.
  const float octaves = std::log(static_cast<float>(distance) / static_cast<float>(num_exact));
  const auto all_octaves = static_cast<float>(
      std::log(static_cast<double>(max_distance) / static_cast<double>(num_exact)));
  const float beyond = octaves / all_octaves * static_cast<float>(num_buckets - num_exact);
  return std::min(num_exact + static_cast<int64_t>(beyond), num_buckets - 1);
}

}  // namespace

int64_t RelativeBucket(const RelativePositions& positions, AttentionMask mask, int64_t distance) {
  if (mask == AttentionMask::kCausal) {
    return BucketOf(std::max<int64_t>(0, -distance), positions.num_buckets, positions.max_distance);
  }
  const int64_t half = positions.num_buckets / 2;
  const int64_t bucket = BucketOf(std::abs(distance), half, positions.max_distance);
  return distance > 0 ? half + bucket : bucket;
}

std::vector<float> SpreadRelativeBias(const StackConfig& stack, std::span<const float> table,
                                      int64_t num_heads, const parallel::Slice& heads) {
  DRAY_CHECK(static_cast<int64_t>(table.size()) == stack.relative.num_buckets * num_heads);
  const kernels::RelativeBias bias = {.values = nullptr, .reach = stack.relative.max_distance};
  std::vector<float> values(static_cast<size_t>(heads.local_size * bias.stride()));
  for (int64_t i = 0; i < bias.stride(); ++i) {
    const int64_t distance =
        std::clamp(i - bias.reach - kernels::RelativeBias::kMargin, -bias.reach, bias.reach);
    const int64_t bucket = RelativeBucket(stack.relative, stack.mask, distance);
    for (const parallel::Piece& piece : heads.pieces) {
      for (int64_t h = 0; h < piece.count; ++h) {
        values[static_cast<size_t>((piece.local + h) * bias.stride() + i)] =
            table[static_cast<size_t>(bucket * num_heads + piece.global + h)];
      }
    }
  }
  return values;
}

}  // namespace dray::model
