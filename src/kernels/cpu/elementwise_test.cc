// Norms, gated activations, rotation, cache writes, copies, and the approximations under them.
#include <bit>
#include <cmath>
#include <limits>

#include "kernels/testing/kernel_test_util.h"

namespace dray::kernels {
namespace {

class ElementwiseTest : public IsaTest {
 protected:
  const IsaKernels& Kernels() const { return **SelectIsa(GetParam()); }
};
DRAY_FOR_EVERY_ISA(ElementwiseTest);

using Map = void (*)(const float*, float*, int64_t);

// The largest error over a range, in units in the last place of the exact result.
double WorstUlp(Map map, double (*exact)(double), float from, float to) {
  constexpr int64_t kPoints = 100003;
  std::vector<float> x(kPoints), y(kPoints);
  for (int64_t i = 0; i < kPoints; ++i) {
    x[static_cast<size_t>(i)] =
        from + (to - from) * static_cast<float>(i) / static_cast<float>(kPoints - 1);
  }
  map(x.data(), y.data(), kPoints);
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double expected = exact(x[i]);
    const float near = static_cast<float>(expected);
    const double ulp =
        std::abs(static_cast<double>(std::nextafter(near, 2 * near + 1e-30f)) - near);
    worst = std::max(worst, std::abs(y[i] - expected) / ulp);
  }
  return worst;
}

TEST_P(ElementwiseTest, ExpTanhErfAreWithinAFewUlp) {
  EXPECT_LE(WorstUlp(Kernels().exp, std::exp, -87.0f, 88.0f), 2.0);
  EXPECT_LE(WorstUlp(Kernels().exp, std::exp, -1.0f, 1.0f), 2.0);
  EXPECT_LE(WorstUlp(Kernels().tanh, std::tanh, -10.0f, 10.0f), 3.0);
  EXPECT_LE(WorstUlp(Kernels().tanh, std::tanh, -0.7f, 0.7f), 3.0);
  EXPECT_LE(WorstUlp(Kernels().erf, std::erf, -5.0f, 5.0f), 3.0);
  EXPECT_LE(WorstUlp(Kernels().erf, std::erf, -1.1f, 1.1f), 3.0);
}

TEST_P(ElementwiseTest, ApproximationsAtTheirEnds) {
  const float infinity = std::numeric_limits<float>::infinity();
  const float x[] = {0.0f, -0.0f, -infinity, infinity, -1000.0f, 1000.0f, NAN};
  float e[7], t[7], f[7];
  Kernels().exp(x, e, 7);
  Kernels().tanh(x, t, 7);
  Kernels().erf(x, f, 7);
  EXPECT_EQ(e[0], 1.0f);
  EXPECT_EQ(e[2], 0.0f);
  EXPECT_EQ(e[4], 0.0f);
  EXPECT_GT(e[5], 1e38f);
  EXPECT_TRUE(std::isnan(e[6]));
  for (const float* y : {t, f}) {
    EXPECT_EQ(y[0], 0.0f);
    EXPECT_EQ(y[2], -1.0f);
    EXPECT_EQ(y[3], 1.0f);
    EXPECT_TRUE(std::isnan(y[6]));
  }
}

TEST_P(ElementwiseTest, EveryHalfConvertsBothWays) {
  std::vector<uint16_t> bits(1 << 16), back(bits.size());
  for (size_t i = 0; i < bits.size(); ++i) bits[i] = static_cast<uint16_t>(i);
  std::vector<float> floats(bits.size());
  const auto count = static_cast<int64_t>(bits.size());
  for (const DType dtype : {DType::kF16, DType::kBF16}) {
    const bool is_f16 = dtype == DType::kF16;
    Kernels().convert(dtype, bits.data(), DType::kF32, floats.data(), count);
    Kernels().convert(DType::kF32, floats.data(), dtype, back.data(), count);
    for (size_t i = 0; i < bits.size(); ++i) {
      const float expected = is_f16 ? F16ToF32(bits[i]) : BF16ToF32(bits[i]);
      ASSERT_EQ(std::isnan(floats[i]), std::isnan(expected)) << i;
      if (std::isnan(expected)) continue;
      ASSERT_EQ(std::bit_cast<uint32_t>(floats[i]), std::bit_cast<uint32_t>(expected)) << i;
      ASSERT_EQ(back[i], bits[i]);
    }
  }
}

TEST_P(ElementwiseTest, FloatsRoundToHalvesAsTheReferenceDoes) {
  std::mt19937 random(12);
  std::vector<float> floats(1 << 16);
  for (float& f : floats) f = std::bit_cast<float>(static_cast<uint32_t>(random()));
  for (size_t i = 0; i < 1000; ++i) floats[i] = static_cast<float>(i) * 0x1.02p-25f;  // subnormal
  std::vector<uint16_t> f16(floats.size()), bf16(floats.size());
  const auto count = static_cast<int64_t>(floats.size());
  Kernels().convert(DType::kF32, floats.data(), DType::kF16, f16.data(), count);
  Kernels().convert(DType::kF32, floats.data(), DType::kBF16, bf16.data(), count);
  for (size_t i = 0; i < floats.size(); ++i) {
    if (std::isnan(floats[i])) {
      ASSERT_TRUE(std::isnan(F16ToF32(f16[i])) && std::isnan(BF16ToF32(bf16[i])));
      continue;
    }
    ASSERT_EQ(f16[i], F32ToF16(floats[i])) << floats[i];
    ASSERT_EQ(bf16[i], F32ToBF16(floats[i])) << floats[i];
  }
}

TEST_P(ElementwiseTest, NormMatchesDoublePrecision) {
  for (const NormKind kind : {NormKind::kLayerNorm, NormKind::kRmsNorm}) {
    for (const int64_t cols : {1, 7, 16, 83, 1000}) {
      constexpr int64_t kRows = 15;
      const int64_t stride = cols + 2;
      std::vector<float> x = RandomFloats(kRows * stride, 1);
      for (float& v : x) v += 3.0f;  // a mean far from zero shows one-pass variances
      const std::vector<float> weight = RandomFloats(cols, 2), bias = RandomFloats(cols, 3);
      std::vector<float> out(x.size());
      NormArgs args;
      args.norm.kind = kind;
      args.norm.weight = weight.data();
      args.norm.bias = kind == NormKind::kLayerNorm ? bias.data() : nullptr;
      args.x = {x.data(), DType::kF32, stride};
      args.out = {out.data(), DType::kF32, stride};
      args.rows = kRows;
      args.cols = cols;
      backend_->ops().Norm(args);
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
          if (args.norm.bias != nullptr) y += bias[i];
          // The mean carries some roundings of values up to 4, stretched by the scale.
          ASSERT_NEAR(out[base + i], y, kRounding * (16 * 4 * scale + 16));
        }
      }
    }
  }
}

TEST_P(ElementwiseTest, NormInPlaceWithoutWeightsAndAlone) {
  const std::vector<float> x = RandomFloats(40 * 700, 4);
  std::vector<float> out = x, alone(700);
  NormArgs args;
  args.x = {out.data(), DType::kF32, 700};
  args.out = {out.data(), DType::kF32, 700};
  args.rows = 40;
  args.cols = 700;
  backend_->ops().Norm(args);
  args.x.data = x.data() + 33 * 700;
  args.out.data = alone.data();
  args.rows = 1;
  backend_->ops().Norm(args);
  EXPECT_TRUE(SameBits(alone, std::span(out).subspan(33 * 700, 700)));
}

TEST_P(ElementwiseTest, Gate) {
  constexpr size_t kWidth = 37;
  const std::vector<float> x = RandomFloats(2 * kWidth, 5, 8.0f);
  std::vector<float> out(kWidth + 1, 7.0f);
  Kernels().gate(Activation::kSilu, x.data(), kWidth, out.data());
  for (size_t i = 0; i < kWidth; ++i) {
    const double gate = x[i], y = gate / (1 + std::exp(-gate)) * x[kWidth + i];
    EXPECT_NEAR(out[i], y, kRounding * 8 * (1 + std::abs(y)));
  }
  EXPECT_EQ(out[kWidth], 7.0f);
}

// The element (token slot, head, dimension) of a cache.
float CacheElement(const KvLayer& cache, bool key, int64_t slot, int64_t head, int64_t d) {
  // Groups of sixteen tokens; in them bf16 lies in pairs and i8 in fours, of dimensions of a key or
  // of tokens of a value. No dimension is left over in these tests.
  const int64_t pack = cache.dtype == DType::kBF16 ? 2 : cache.dtype == DType::kI8 ? 4 : 1;
  const int64_t block = slot / cache.block_size, lane = slot % 16;
  const int64_t first = (block * cache.num_kv_heads + head) * cache.block_size +
                        slot % cache.block_size - lane;  // tokens before the group
  const int64_t i =
      first * cache.head_dim + (key ? (d / pack * 16 + lane) * pack + d % pack
                                    : (lane / pack * cache.head_dim + d) * pack + lane % pack);
  const void* data = key ? cache.keys : cache.values;
  if (cache.dtype == DType::kF32) return static_cast<const float*>(data)[i];
  if (cache.dtype == DType::kI8) {
    const float* scales = key ? cache.key_scales : cache.value_scales;
    return static_cast<float>(static_cast<const uint8_t*>(data)[i] - 128) * scales[first + lane];
  }
  const uint16_t bits = static_cast<const uint16_t*>(data)[i];
  return cache.dtype == DType::kF16 ? F16ToF32(bits) : BF16ToF32(bits);
}

struct RopeCase {
  RopeStyle style;
  int64_t head_dim, rotary_dim;
  DType dtype;
};

void CheckRope(const Backend& backend, const RopeCase& c) {
  constexpr int64_t kTokens = 6, kHeads = 4, kKvHeads = 2, kBlock = 16, kBlocks = 3;
  const int64_t stride = (kHeads + 2 * kKvHeads) * c.head_dim + 1;
  const std::vector<float> before = RandomFloats(kTokens * stride, 6);
  std::vector<float> qkv = before;
  const std::vector<float> cos_sin = RandomFloats(9 * std::max<int64_t>(1, c.rotary_dim), 7);
  const int32_t table_rows[kTokens] = {8, 0, 3, 3, 1, 2};
  const int32_t slots[kTokens] = {47, 0, 16, 17, 30, 5};
  const size_t cache_floats = kBlocks * kKvHeads * static_cast<size_t>(c.head_dim) * kBlock;
  std::vector<float> keys(cache_floats), values(cache_floats);
  std::vector<float> key_scales(kBlocks * kKvHeads * kBlock, NAN), value_scales = key_scales;
  RopeAndCacheArgs args;
  args.qkv = {qkv.data(), DType::kF32, stride};
  args.num_tokens = kTokens;
  args.num_heads = kHeads;
  args.style = c.style;
  args.rotary_dim = c.rotary_dim;
  args.cos_sin = cos_sin.data();
  args.table_rows = table_rows;
  args.slots = slots;
  args.cache = {keys.data(), values.data(), c.dtype,           kKvHeads,
                c.head_dim,  kBlock,        key_scales.data(), value_scales.data()};
  RopeAndCache(backend, args);

  const int64_t half = c.rotary_dim / 2;
  for (int64_t t = 0; t < kTokens; ++t) {
    for (int64_t h = 0; h < kHeads + 2 * kKvHeads; ++h) {
      const float* x = before.data() + t * stride + h * c.head_dim;
      const float* table = cos_sin.data() + table_rows[t] * c.rotary_dim;
      for (int64_t d = 0; d < c.head_dim; ++d) {
        double y = x[d];
        if (d < c.rotary_dim && h < kHeads + kKvHeads) {
          const bool is_half = c.style == RopeStyle::kHalf;
          const int64_t pair = is_half ? d % half : d / 2;
          const bool second = is_half ? d >= half : d % 2 == 1;
          const double a = x[is_half ? pair : 2 * pair],
                       b = x[is_half ? pair + half : 2 * pair + 1];
          const double cosine = table[pair], sine = table[half + pair];
          y = second ? b * cosine + a * sine : a * cosine - b * sine;
        }
        const double tolerance = 4 * kRounding;
        if (h < kHeads) {
          ASSERT_NEAR(qkv[static_cast<size_t>(t * stride + h * c.head_dim + d)], y, tolerance);
          continue;
        }
        const bool is_key = h < kHeads + kKvHeads;
        const float got = CacheElement(args.cache, is_key, slots[t], (h - kHeads) % kKvHeads, d);
        // One rounding of the cache's format more: 8 bits in bf16, 11 in f16, half a step in i8.
        const auto row = static_cast<size_t>(
            (slots[t] / kBlock * kKvHeads + (h - kHeads) % kKvHeads) * kBlock + slots[t] % kBlock);
        const double cache_rounding = c.dtype == DType::kI8    ? 0.5 * key_scales[row]
                                      : c.dtype == DType::kF32 ? 0.0
                                      : c.dtype == DType::kF16 ? std::abs(y) / (1 << 11)
                                                               : std::abs(y) / (1 << 8);
        if (is_key) {
          ASSERT_NEAR(got, y, 2 * tolerance + cache_rounding);
        } else {
          ASSERT_EQ(got, RoundedToCache(c.dtype, {x, x + c.head_dim})[static_cast<size_t>(d)]);
        }
      }
    }
  }
}

TEST_P(ElementwiseTest, RopeRotatesAndFillsTheCache) {
  for (const RopeStyle style : {RopeStyle::kHalf, RopeStyle::kInterleaved}) {
    for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kI8}) {
      CheckRope(*backend_, {style, 20, 20, dtype});
      CheckRope(*backend_, {style, 64, 24, dtype});  // part of a head
      CheckRope(*backend_, {style, 12, 0, dtype});   // no rotation
      CheckRope(*backend_, {style, 80, 80, dtype});
    }
  }
}

TEST_P(ElementwiseTest, GatherRowsAndCopies) {
  const std::vector<float> x = RandomFloats(10 * 9, 8);
  const int32_t rows[] = {9, 0, 9};
  std::vector<float> out(3 * 7);
  backend_->ops().GatherRows(
      {{x.data(), DType::kF32, 9}, rows, 3, 7, {out.data(), DType::kF32, 7}});
  for (size_t i = 0; i < 3; ++i) {
    for (size_t c = 0; c < 7; ++c) {
      EXPECT_EQ(out[i * 7 + c], x[static_cast<size_t>(rows[i]) * 9 + c]);
    }
  }
  std::vector<float> copy(out.size()), back(out.size());
  ExpectOk(backend_->memory().CopyFromHost(copy.data(), out.data(), out.size() * sizeof(float)));
  ExpectOk(backend_->memory().CopyToHost(back.data(), copy.data(), out.size() * sizeof(float)));
  EXPECT_EQ(back, out);
}

TEST_P(ElementwiseTest, CopyBlocks) {
  constexpr size_t kBlockFloats = 2 * 3 * 16;
  std::vector<float> keys = RandomFloats(4 * kBlockFloats, 9),
                     values = RandomFloats(4 * kBlockFloats, 10);
  const std::vector<float> old_keys = keys, old_values = values;
  const int32_t from[] = {1, 0}, to[] = {3, 2};
  backend_->ops().CopyBlocks({{keys.data(), values.data(), DType::kF32, 2, 3, 16}, from, to, 2});
  for (size_t i = 0; i < 2; ++i) {
    for (size_t j = 0; j < kBlockFloats; ++j) {
      EXPECT_EQ(keys[static_cast<size_t>(to[i]) * kBlockFloats + j],
                old_keys[static_cast<size_t>(from[i]) * kBlockFloats + j]);
      EXPECT_EQ(values[static_cast<size_t>(to[i]) * kBlockFloats + j],
                old_values[static_cast<size_t>(from[i]) * kBlockFloats + j]);
    }
  }
}

TEST_P(ElementwiseTest, CopyBlocksTakesScalesAlong) {
  constexpr size_t kBlockBytes = 2 * 3 * 16, kBlockScales = 2 * 16;
  const std::vector<float> random = RandomFloats(4 * kBlockScales, 9);
  std::vector<int8_t> keys(4 * kBlockBytes), values(keys.size());
  for (size_t i = 0; i < keys.size(); ++i) {
    keys[i] = static_cast<int8_t>(i % 251);
    values[i] = static_cast<int8_t>(i % 241);
  }
  std::vector<float> key_scales = random, value_scales(random.rbegin(), random.rend());
  const auto old_keys = keys, old_values = values;
  const auto old_key_scales = key_scales, old_value_scales = value_scales;
  const int32_t from[] = {1}, to[] = {3};
  backend_->ops().CopyBlocks(
      {{keys.data(), values.data(), DType::kI8, 2, 3, 16, key_scales.data(), value_scales.data()},
       from,
       to,
       1});
  const auto expect_copied = [](const auto& now, const auto& old, size_t block) {
    for (size_t i = 0; i < now.size(); ++i) {
      EXPECT_EQ(now[i], old[i < 3 * block ? i : i - 2 * block]) << i;
    }
  };
  expect_copied(keys, old_keys, kBlockBytes);
  expect_copied(values, old_values, kBlockBytes);
  expect_copied(key_scales, old_key_scales, kBlockScales);
  expect_copied(value_scales, old_value_scales, kBlockScales);
}

// One token of one head, its query left out, for the place `slot`; what it names must outlive it.
RopeAndCacheArgs OneToken(std::vector<float>& qkv, const int32_t& slot, const KvLayer& cache) {
  RopeAndCacheArgs args;
  args.qkv = {qkv.data(), DType::kF32, static_cast<int64_t>(qkv.size())};
  args.num_tokens = 1;
  args.slots = &slot;
  args.cache = cache;
  return args;
}

// A number that 8 bits cannot hold must not become one that no conversion can take.
TEST_P(ElementwiseTest, WhatIsNoNumberIsStoredSomehowIn8Bits) {
  std::vector<float> qkv(2 * 20, 1.0f);
  qkv[3] = NAN;
  qkv[25] = INFINITY;
  std::vector<int8_t> keys(20 * 16), values(keys.size());
  std::vector<float> key_scales(16), value_scales(16);
  const int32_t slot = 5;
  const KvLayer cache = {keys.data(), values.data(),     DType::kI8,         1, 20,
                         16,          key_scales.data(), value_scales.data()};
  RopeAndCache(*backend_, OneToken(qkv, slot, cache));
  EXPECT_EQ(keys[5 * 4], static_cast<int8_t>(127 + 128));  // token 5, dimension 0
}

// A value must be finite, because attention multiplies those that a query does not see by zero.
TEST_P(ElementwiseTest, ValuesInTheCacheAreFinite) {
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    const float held[] = {NAN, INFINITY, -INFINITY, 3.4e38f, -1.0f};
    std::vector<float> qkv(2 * 5, 1.0f), keys(5 * 16), values(keys.size());
    std::copy(std::begin(held), std::end(held), qkv.begin() + 5);
    const int32_t slot = 9;
    const KvLayer cache = {keys.data(), values.data(), dtype, 1, 5, 16};
    RopeAndCache(*backend_, OneToken(qkv, slot, cache));
    for (int64_t d = 0; d < 5; ++d) {
      EXPECT_TRUE(std::isfinite(CacheElement(cache, false, slot, 0, d))) << Name(dtype) << d;
    }
    EXPECT_EQ(CacheElement(cache, false, slot, 0, 4), -1.0f);
  }
}

}  // namespace
}  // namespace dray::kernels
