// Rotated heads and the places in the cache where the processors' kernels put them
// (isa/cache_layout.h).
#include <algorithm>
#include <cmath>

#include "kernels/testing/backend_test.h"

namespace dray::kernels {
namespace {

class CacheLayoutTest : public IsaTest {};
DRAY_FOR_EVERY_ISA(CacheLayoutTest);

// Keys and values on the device, of two key heads or as many as are asked for.
struct TestCache {
  KvLayer layer;
  DeviceArray<float> keys, values, key_scales, value_scales;

  TestCache(Backend& backend, DType dtype, int64_t num_kv_heads, int64_t head_dim,
            int64_t num_blocks, int64_t block_step = 1)
      : keys(backend,
             static_cast<size_t>(num_blocks * block_step * num_kv_heads * head_dim * kBlock)),
        values(backend, keys.size()),
        key_scales(backend,
                   std::vector<float>(
                       static_cast<size_t>(num_blocks * block_step * num_kv_heads * kBlock), NAN)),
        value_scales(backend, key_scales.ToHost()) {
    layer = {keys.data(),       values.data(),       dtype,     num_kv_heads, head_dim, kBlock,
             key_scales.data(), value_scales.data(), block_step};
  }

  static constexpr int64_t kBlock = 16;
};

// Copies of a cache's memory, as numbers.
class HostCache {
 public:
  explicit HostCache(const TestCache& cache)
      : layer_(cache.layer),
        keys_(cache.keys.ToHost()),
        values_(cache.values.ToHost()),
        key_scales_(cache.key_scales.ToHost()),
        value_scales_(cache.value_scales.ToHost()) {}

  // The element (token slot, head, dimension).
  float At(bool key, int64_t slot, int64_t head, int64_t d) const {
    const int64_t i = Index(key, slot, head, d);
    const void* data = key ? keys_.data() : values_.data();
    if (layer_.dtype == DType::kF32) return static_cast<const float*>(data)[i];
    if (layer_.dtype == DType::kI8) {
      return static_cast<float>(Byte(key, i) - 128) * ScaleAt(key, slot, head);
    }
    const uint16_t bits = static_cast<const uint16_t*>(data)[i];
    return layer_.dtype == DType::kF16 ? F16ToF32(bits) : BF16ToF32(bits);
  }
  float ScaleAt(bool key, int64_t slot, int64_t head) const {
    return (key ? key_scales_ : value_scales_)[static_cast<size_t>(Token(slot, head))];
  }
  uint8_t Byte(bool key, int64_t i) const {
    return reinterpret_cast<const uint8_t*>((key ? keys_ : values_).data())[i];
  }
  // Groups of sixteen tokens; in them bf16 lies in pairs and i8 in fours, of dimensions of a key or
  // of tokens of a value. No dimension is left over in these tests.
  int64_t Index(bool key, int64_t slot, int64_t head, int64_t d) const {
    const int64_t pack = layer_.dtype == DType::kBF16 ? 2 : layer_.dtype == DType::kI8 ? 4 : 1;
    const int64_t lane = slot % 16;
    const int64_t group = (Token(slot, head) - lane) * layer_.head_dim;
    return group + (key ? (d / pack * 16 + lane) * pack + d % pack
                        : (lane / pack * layer_.head_dim + d) * pack + lane % pack);
  }

 private:
  int64_t Token(int64_t slot, int64_t head) const {
    const int64_t block = slot / layer_.block_size * layer_.block_step;
    return (block * layer_.num_kv_heads + head) * layer_.block_size + slot % layer_.block_size;
  }

  KvLayer layer_;
  std::vector<float> keys_, values_, key_scales_, value_scales_;
};

struct RopeCase {
  RopeStyle style;
  int64_t head_dim, rotary_dim;
  DType dtype;
  int64_t block_step = 1;
};

constexpr int64_t kTokens = 6, kHeads = 4, kKvHeads = 2;
constexpr int32_t kTableRows[kTokens] = {8, 0, 3, 3, 1, 2};
constexpr int32_t kSlots[kTokens] = {47, 0, 16, 17, 30, 5};

// Dimension d of a head, rotated by a row of the table.
double Rotated(const RopeCase& c, const float* head, const float* table, int64_t d) {
  if (d >= c.rotary_dim) return head[d];
  const int64_t half = c.rotary_dim / 2;
  const bool is_half = c.style == RopeStyle::kHalf;
  const int64_t pair = is_half ? d % half : d / 2;
  const bool second = is_half ? d >= half : d % 2 == 1;
  const double a = head[is_half ? pair : 2 * pair], b = head[is_half ? pair + half : 2 * pair + 1];
  const double cosine = table[pair], sine = table[half + pair];
  return second ? b * cosine + a * sine : a * cosine - b * sine;
}

// One rounding of the cache's format: 8 bits in bf16, 11 in f16, half a step in i8.
double CacheRounding(DType dtype, double value, float scale) {
  switch (dtype) {
    case DType::kI8:
      return 0.5 * scale;
    case DType::kF16:
      return std::abs(value) / (1 << 11);
    case DType::kBF16:
      return std::abs(value) / (1 << 8);
    default:
      return 0.0;
  }
}

void CheckRope(Backend& backend, const RopeCase& c) {
  const int64_t width = (kHeads + 2 * kKvHeads) * c.head_dim, stride = width + 1;
  const std::vector<float> before = RandomFloats(kTokens * width, 6);
  const std::vector<float> cos_sin = RandomFloats(9 * std::max<int64_t>(1, c.rotary_dim), 7);
  const TestCache cache(backend, c.dtype, kKvHeads, c.head_dim, 3, c.block_step);
  const DeviceArray<float> qkv(backend, static_cast<size_t>(kTokens * stride));
  const DeviceArray<float> device_cos_sin(backend, cos_sin);
  const DeviceArray<int32_t> table_rows(backend, std::span<const int32_t>(kTableRows));
  const DeviceArray<int32_t> slots(backend, std::span<const int32_t>(kSlots));
  RopeAndCache(backend, before,
               {.qkv = Rows(qkv, stride),
                .num_tokens = kTokens,
                .num_heads = kHeads,
                .style = c.style,
                .rotary_dim = c.rotary_dim,
                .cos_sin = device_cos_sin.data(),
                .table_rows = table_rows.data(),
                .slots = slots.data(),
                .cache = cache.layer});

  const std::vector<float> after = qkv.ToHost();
  const HostCache host(cache);
  const double tolerance = 4 * kRounding;
  for (int64_t t = 0; t < kTokens; ++t) {
    const float* table = cos_sin.data() + kTableRows[t] * c.rotary_dim;
    for (int64_t h = 0; h < kHeads + 2 * kKvHeads; ++h) {
      const float* x = before.data() + t * width + h * c.head_dim;
      const int64_t kv_head = (h - kHeads) % kKvHeads;
      const std::vector<float> stored = RoundedToCache(c.dtype, {x, x + c.head_dim});
      for (int64_t d = 0; d < c.head_dim; ++d) {
        const double y = Rotated(c, x, table, d);
        if (h < kHeads) {
          ASSERT_NEAR(after[static_cast<size_t>(t * stride + h * c.head_dim + d)], y, tolerance);
        } else if (h < kHeads + kKvHeads) {
          const float scale = host.ScaleAt(true, kSlots[t], kv_head);
          ASSERT_NEAR(host.At(true, kSlots[t], kv_head, d), y,
                      2 * tolerance + CacheRounding(c.dtype, y, scale));
        } else {
          ASSERT_EQ(host.At(false, kSlots[t], kv_head, d), stored[static_cast<size_t>(d)]);
        }
      }
    }
  }
}

TEST_P(CacheLayoutTest, RopeRotatesAndFillsTheCache) {
  for (const RopeStyle style : {RopeStyle::kHalf, RopeStyle::kInterleaved}) {
    for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kI8}) {
      CheckRope(*backend_, {style, 20, 20, dtype});
      CheckRope(*backend_, {style, 64, 24, dtype});  // part of a head
      CheckRope(*backend_, {style, 12, 0, dtype});   // no rotation
      CheckRope(*backend_, {style, 80, 80, dtype});
      CheckRope(*backend_, {style, 20, 20, dtype, 3});  // other layers' blocks between
    }
  }
}

// One token of one head, its query left out, to the place `slot`: `kv` are key and value. They are
// the bias of a product that is zero, so that they need not be numbers.
HostCache StoreOneToken(Backend& backend, DType dtype, const std::vector<float>& kv, int32_t slot) {
  const auto width = static_cast<int64_t>(kv.size());
  const TestCache cache(backend, dtype, 1, width / 2, 1);
  const WeightMatrix zeros =
      PackFloats(backend, {width, 1, WeightFormat::kF32}, std::vector<float>(kv.size()));
  const DeviceArray<float> x(backend, 1), bias(backend, kv), qkv(backend, kv.size());
  const DeviceArray<int32_t> slots(backend, std::vector<int32_t>{slot});
  backend.ops().QkvLinear(
      {.weight = &zeros, .x = Rows(x, 1), .rows = 1, .bias = bias.data(), .out = Rows(qkv, width)},
      {.qkv = Rows(qkv, width), .num_tokens = 1, .slots = slots.data(), .cache = cache.layer});
  return HostCache(cache);
}

// A number that 8 bits cannot hold must not become one that no conversion can take.
TEST_P(CacheLayoutTest, WhatIsNoNumberIsStoredSomehowIn8Bits) {
  std::vector<float> kv(2 * 20, 1.0f);
  kv[3] = NAN;
  kv[25] = INFINITY;
  const HostCache cache = StoreOneToken(*backend_, DType::kI8, kv, 5);
  EXPECT_EQ(cache.Byte(true, cache.Index(true, 5, 0, 0)), 127 + 128);
  EXPECT_TRUE(std::isfinite(cache.ScaleAt(true, 5, 0)));
  EXPECT_TRUE(std::isfinite(cache.ScaleAt(false, 5, 0)));
}

// A value must be finite, because attention multiplies those that a query does not see by zero.
TEST_P(CacheLayoutTest, ValuesInTheCacheAreFinite) {
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    const std::vector<float> kv = {1.0f, 1.0f,     1.0f,      1.0f,    1.0f,
                                   NAN,  INFINITY, -INFINITY, 3.4e38f, -1.0f};
    const HostCache cache = StoreOneToken(*backend_, dtype, kv, 9);
    for (int64_t d = 0; d < 5; ++d) {
      EXPECT_TRUE(std::isfinite(cache.At(false, 9, 0, d))) << Name(dtype) << d;
    }
    EXPECT_EQ(cache.At(false, 9, 0, 4), -1.0f);
  }
}

}  // namespace
}  // namespace dray::kernels
