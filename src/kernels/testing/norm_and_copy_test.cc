// Norms, and operations that only move numbers.
#include <cmath>

#include "kernels/testing/backend_test.h"

namespace dray::kernels {
namespace {

class NormAndCopyTest : public BackendTest {};
DRAY_FOR_EVERY_BACKEND(NormAndCopyTest);

TEST_P(NormAndCopyTest, NormMatchesDoublePrecision) {
  for (const NormKind kind : {NormKind::kLayerNorm, NormKind::kRmsNorm}) {
    for (const int64_t cols : {1, 7, 16, 83, 1000}) {
      constexpr int64_t kRows = 15;
      const int64_t stride = cols + 2;
      std::vector<float> x = RandomFloats(kRows * stride, 1);
      for (float& v : x) v += 3.0f;  // a mean far from zero shows one-pass variances
      const std::vector<float> weight = RandomFloats(cols, 2), bias = RandomFloats(cols, 3);
      const bool has_bias = kind == NormKind::kLayerNorm;
      const auto device_x = Device(x), device_weight = Device(weight), device_bias = Device(bias);
      const auto device_out = Zeros(kRows * stride);
      ops().Norm({.norm = {.kind = kind,
                           .weight = device_weight.data(),
                           .bias = has_bias ? device_bias.data() : nullptr},
                  .x = Rows(device_x, stride),
                  .out = Rows(device_out, stride),
                  .rows = kRows,
                  .cols = cols});
      const std::vector<float> out = device_out.ToHost();
      for (int64_t r = 0; r < kRows; ++r) {
        const auto base = static_cast<size_t>(r * stride);
        double mean = 0, variance = 0;
        for (int64_t c = 0; c < cols; ++c) mean += x[base + static_cast<size_t>(c)];
        mean = kind == NormKind::kLayerNorm ? mean / static_cast<double>(cols) : 0.0;
        for (int64_t c = 0; c < cols; ++c) {
          variance += std::pow(x[base + static_cast<size_t>(c)] - mean, 2);
        }
        const double scale = 1 / std::sqrt(variance / static_cast<double>(cols) + 1e-5);
        for (int64_t c = 0; c < cols; ++c) {
          const auto i = static_cast<size_t>(c);
          double y = (x[base + i] - mean) * scale * weight[i];
          if (has_bias) y += bias[i];
          // The mean carries some roundings of values up to 4, stretched by the scale.
          ASSERT_NEAR(out[base + i], y, kRounding * (16 * 4 * scale + 16));
        }
      }
    }
  }
}

TEST_P(NormAndCopyTest, NormInPlaceWithoutWeightsAndAlone) {
  const auto x = Device(RandomFloats(40 * 700, 4)), in_place = Device(x.ToHost());
  const auto alone = Zeros(700);
  NormArgs args = {.x = Rows(in_place, 700), .out = Rows(in_place, 700), .rows = 40, .cols = 700};
  ops().Norm(args);
  args.x = {x.data() + 33 * 700, DType::kF32, 700};
  args.out = Rows(alone, 700);
  args.rows = 1;
  ops().Norm(args);
  const std::vector<float> all = in_place.ToHost();
  EXPECT_TRUE(SameBits(alone.ToHost(), std::span(all).subspan(33 * 700, 700)));
}

TEST_P(NormAndCopyTest, GatherRows) {
  const std::vector<float> x = RandomFloats(10 * 9, 8);
  const std::vector<int32_t> rows = {9, 0, 9};
  const auto device_x = Device(x);
  const auto device_rows = Device(rows);
  const auto device_out = Zeros(3 * 7);
  ops().GatherRows({Rows(device_x, 9), device_rows.data(), 3, 7, Rows(device_out, 7)});
  const std::vector<float> out = device_out.ToHost();
  for (size_t i = 0; i < 3; ++i) {
    for (size_t c = 0; c < 7; ++c) {
      EXPECT_EQ(out[i * 7 + c], x[static_cast<size_t>(rows[i]) * 9 + c]);
    }
  }
}

TEST_P(NormAndCopyTest, CopiesComeBack) {
  const std::vector<float> values = RandomFloats(100'000, 9);
  EXPECT_EQ(Device(values).ToHost(), values);
  EXPECT_TRUE(Device(std::vector<float>()).ToHost().empty());
}

TEST_P(NormAndCopyTest, CopyBlocksOneAfterTheOther) {
  constexpr size_t kBlockFloats = 2 * 3 * 16;
  const std::vector<float> old_keys = RandomFloats(4 * kBlockFloats, 9);
  const std::vector<float> old_values = RandomFloats(4 * kBlockFloats, 10);
  const auto keys = Device(old_keys), values = Device(old_values);
  // The last copy reads what the first one wrote. The lists may change after the call.
  std::vector<int32_t> from = {1, 0, 3}, to = {3, 2, 0};
  ops().CopyBlocks(
      {{keys.data(), values.data(), DType::kF32, 2, 3, 16}, from.data(), to.data(), 3});
  from = to = {-1, -1, -1};
  const int source_of[] = {1, 1, 0, 1};
  const auto expect_copied = [&](const std::vector<float>& now, const std::vector<float>& old) {
    for (size_t i = 0; i < now.size(); ++i) {
      const auto source = static_cast<size_t>(source_of[i / kBlockFloats]);
      EXPECT_EQ(now[i], old[source * kBlockFloats + i % kBlockFloats]) << i;
    }
  };
  expect_copied(keys.ToHost(), old_keys);
  expect_copied(values.ToHost(), old_values);
}

TEST_P(NormAndCopyTest, CopyBlocksLeavesWhatLiesBetweenBlocks) {
  constexpr size_t kBlockFloats = 2 * 3 * 16;
  const std::vector<float> before = RandomFloats(3 * 4 * kBlockFloats, 9);
  const auto memory = Device(before);
  // [block][4]: keys and values of two layers, of which this is the second.
  KvLayer layer = {.keys = memory.data() + 2 * kBlockFloats,
                   .values = memory.data() + 3 * kBlockFloats,
                   .num_kv_heads = 2,
                   .head_dim = 3,
                   .block_size = 16};
  layer.block_step = 4;
  const int32_t from[] = {2}, to[] = {1};
  ops().CopyBlocks({layer, from, to, 1});
  const std::vector<float> after = memory.ToHost();
  for (size_t i = 0; i < after.size(); ++i) {
    const size_t part = i / kBlockFloats;
    const bool is_copied = part == 4 + 2 || part == 4 + 3;
    EXPECT_EQ(after[i], before[is_copied ? i + 4 * kBlockFloats : i]) << i;
  }
}

TEST_P(NormAndCopyTest, CopyBlocksTakesScalesAlong) {
  constexpr size_t kBlockBytes = 2 * 3 * 16, kBlockScales = 2 * 16;
  const std::vector<float> old_key_scales = RandomFloats(4 * kBlockScales, 9);
  const std::vector<float> old_value_scales(old_key_scales.rbegin(), old_key_scales.rend());
  std::vector<int8_t> old_keys(4 * kBlockBytes), old_values(old_keys.size());
  for (size_t i = 0; i < old_keys.size(); ++i) {
    old_keys[i] = static_cast<int8_t>(i % 251);
    old_values[i] = static_cast<int8_t>(i % 241);
  }
  const DeviceArray<int8_t> keys(*backend_, old_keys), values(*backend_, old_values);
  const auto key_scales = Device(old_key_scales), value_scales = Device(old_value_scales);
  const int32_t from[] = {1}, to[] = {3};
  ops().CopyBlocks(
      {{keys.data(), values.data(), DType::kI8, 2, 3, 16, key_scales.data(), value_scales.data()},
       from,
       to,
       1});
  const auto expect_copied = [](const auto& now, const auto& old, size_t block) {
    for (size_t i = 0; i < now.size(); ++i) {
      EXPECT_EQ(now[i], old[i < 3 * block ? i : i - 2 * block]) << i;
    }
  };
  expect_copied(keys.ToHost(), old_keys, kBlockBytes);
  expect_copied(values.ToHost(), old_values, kBlockBytes);
  expect_copied(key_scales.ToHost(), old_key_scales, kBlockScales);
  expect_copied(value_scales.ToHost(), old_value_scales, kBlockScales);
}

}  // namespace
}  // namespace dray::kernels
