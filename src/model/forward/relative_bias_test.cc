// The buckets of distances against those of transformers, and the biases that are spread over them.
#include "model/forward/relative_bias.h"

#include <gtest/gtest.h>

#include <numeric>

#include "base/file.h"
#include "base/parse/json.h"
#include "base/testing/source_dir.h"

namespace dray::model {
namespace {

TEST(RelativeBiasTest, BucketsAreThoseOfTransformers) {
  const auto path = SourceDir() / "tests/golden/encoder_decoders/relative_buckets.json";
  const Json golden = Json::Parse(ReadFile(path, 1 << 24).value()).value();
  int num_checked = 0;
  for (const Json& entry : *golden.AsArray()) {
    const RelativePositions positions = {*entry.Find("num_buckets")->AsInt64(),
                                         *entry.Find("max_distance")->AsInt64()};
    const bool both_ways = *entry.Find("bidirectional")->AsBool();
    int64_t distance = *entry.Find("first")->AsInt64();
    for (const Json& bucket : *entry.Find("buckets")->AsArray()) {
      EXPECT_EQ(RelativeBucket(positions, both_ways ? AttentionMask::kFull : AttentionMask::kCausal,
                               distance),
                *bucket.AsInt64())
          << positions.num_buckets << " buckets to " << positions.max_distance << ", distance "
          << distance << (both_ways ? ", both ways" : "");
      ++distance;
      ++num_checked;
    }
  }
  EXPECT_GT(num_checked, 10'000);
}

StackConfig TwoHeads(AttentionMask mask) {
  StackConfig stack;
  stack.num_heads = stack.num_kv_heads = 2;
  stack.mask = mask;
  stack.relative = {.num_buckets = 8, .max_distance = 5};
  return stack;
}

TEST(RelativeBiasTest, EveryDistanceHasItsBucketsNumber) {
  const StackConfig stack = TwoHeads(AttentionMask::kFull);
  std::vector<float> table(16);  // [bucket, head]
  std::iota(table.begin(), table.end(), 0.0f);
  const auto values = SpreadRelativeBias(stack, table, 2, parallel::Whole(2));
  const kernels::RelativeBias bias = {values.data(), 5};
  ASSERT_EQ(values.size(), static_cast<size_t>(2 * bias.stride()));
  for (int64_t head = 0; head < 2; ++head) {
    for (int64_t i = 0; i < bias.stride(); ++i) {
      const int64_t distance = i - bias.reach - kernels::RelativeBias::kMargin;
      const int64_t bucket = RelativeBucket(stack.relative, stack.mask, distance);
      EXPECT_EQ(values[static_cast<size_t>(head * bias.stride() + i)],
                static_cast<float>(2 * bucket + head))
          << distance;
    }
  }
}

TEST(RelativeBiasTest, ARankHasItsHeads) {
  const StackConfig stack = TwoHeads(AttentionMask::kCausal);
  std::vector<float> table(24);  // [bucket, head] of three heads
  std::iota(table.begin(), table.end(), 0.0f);
  const auto heads = parallel::CutHeads(3, 3, {.index = 1, .world = 2}).query;  // head 2, padding
  const auto values = SpreadRelativeBias(stack, table, 3, heads);
  const kernels::RelativeBias bias = {values.data(), 5};
  const auto here = static_cast<size_t>(bias.reach + kernels::RelativeBias::kMargin);
  EXPECT_EQ(values[here], 2.0f);
  EXPECT_EQ(values[here - 1], 5.0f);
  for (auto i = static_cast<size_t>(bias.stride()); i < values.size(); ++i) EXPECT_EQ(values[i], 0);
}

}  // namespace
}  // namespace dray::model
