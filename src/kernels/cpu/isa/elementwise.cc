// Operations whose rows are independent and cheap: norms, gated activation, rotation of queries and
// keys with the store into the cache.
#include <cstdint>

#include "kernels/cpu/isa/math.h"
#include "kernels/cpu/isa/ops.h"
#include "kernels/cpu/isa/vec.h"

namespace dray::kernels::DRAY_ISA {
namespace {

// The sum of f(x, lane_count) over a vector, in an order fixed by `cols`: four accumulators that
// take turns, then their tree.
template <typename Function>
float SumOver(const float* x, int64_t cols, const Function& f) {
  Vec acc[4] = {Zero(), Zero(), Zero(), Zero()};
  int64_t c = 0;
  for (; c + 4 * kLanes <= cols; c += 4 * kLanes) {
    for (int i = 0; i < 4; ++i) acc[i] = f(Load(x + c + i * kLanes), kLanes, acc[i]);
  }
  for (int i = 0; c < cols; c += kLanes, ++i) {
    acc[i] = f(LoadUpTo(x + c, cols - c), cols - c, acc[i]);
  }
  return Sum((acc[0] + acc[2]) + (acc[1] + acc[3]));
}

float SumOfSquares(const float* x, int64_t cols, float mean) {
  const Vec mean_vec = Set1(mean);
  return SumOver(x, cols, [&](Vec v, int64_t n, Vec acc) {
    // Lanes behind the row's end must not count as -mean.
    const Vec d = IfLess(Iota(), Set1(static_cast<float>(n)), v - mean_vec, Zero());
    return Fma(d, d, acc);
  });
}

float InverseSqrt(float x) { return 1.0f / __builtin_sqrtf(x); }

void NormVector(const NormArgs& args, const float* x, float* out) {
  const float cols = static_cast<float>(args.cols);
  float mean = 0.0f;
  if (args.kind == NormKind::kLayerNorm) {
    mean = SumOver(x, args.cols, [](Vec v, int64_t, Vec acc) { return acc + v; }) / cols;
  }
  const Vec scale = Set1(InverseSqrt(SumOfSquares(x, args.cols, mean) / cols + args.eps));
  const Vec shift = Set1(mean);
  for (int64_t c = 0; c < args.cols; c += kLanes) {
    const int64_t n = args.cols - c;
    Vec v = (LoadUpTo(x + c, n) - shift) * scale;
    if (args.weight != nullptr) v = v * LoadUpTo(args.weight + c, n);
    if (args.bias != nullptr) v = v + LoadUpTo(args.bias + c, n);
    StoreUpTo(out + c, v, n);
  }
}

// x[i], x[i + half] for i < half, by cos[i] and sin[i].
void RotateHalf(float* x, const float* cos_sin, int64_t half) {
  for (int64_t i = 0; i < half; i += kLanes) {
    const int64_t n = half - i;
    const Vec a = LoadUpTo(x + i, n), b = LoadUpTo(x + half + i, n);
    const Vec c = LoadUpTo(cos_sin + i, n), s = LoadUpTo(cos_sin + half + i, n);
    StoreUpTo(x + i, a * c - b * s, n);
    StoreUpTo(x + half + i, b * c + a * s, n);
  }
}

// x[2i], x[2i + 1] for i < half.
void RotateInterleaved(float* x, const float* cos_sin, int64_t half) {
  for (int64_t i = 0; i < half; ++i) {
    const float a = x[2 * i], b = x[2 * i + 1];
    const float c = cos_sin[i], s = cos_sin[half + i];
    x[2 * i] = a * c - b * s;
    x[2 * i + 1] = b * c + a * s;
  }
}

// What a key or value is divided by before it is stored: nothing, but in 8 bits.
template <typename Format>
struct Divisor {
  Divisor(const float*, int64_t, float*, int64_t) {}
  Vec operator()(Vec v) const { return v; }
};

template <>
struct Divisor<I8> {
  // Writes the scale of x[0 .. head_dim - 1] to scales[i].
  Divisor(const float* x, int64_t head_dim, float* scales, int64_t i) {
    const float peak = __builtin_fabsf(PeakOf(x, head_dim));
    scales[i] = peak / 127.0f;
    inverse = Set1(peak > 0.0f ? 127.0f / peak : 0.0f);
  }
  Vec operator()(Vec v) const {
    const Vec magic = Set1(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
    // Also makes a number of NaN, which not every conversion to bytes can take.
    return Min(Max((v * inverse + magic) - magic, Set1(-127.0f)), Set1(127.0f));
  }
  Vec inverse;
};

template <typename Format>
void StoreKey(const float* key, const Divisor<Format>& divide, typename Format::Type* out,
              int64_t head_dim, int64_t stride) {
  for (int64_t d = 0; d < head_dim; d += kLanes) {
    const int64_t n = head_dim - d < kLanes ? head_dim - d : kLanes;
    typename Format::Type lanes[kLanes];
    Format::StoreVec(lanes, divide(LoadUpTo(key + d, n)));
    for (int64_t i = 0; i < n; ++i) out[(d + i) * stride] = lanes[i];
  }
}

template <typename Format>
void StoreValue(const float* value, const Divisor<Format>& divide, typename Format::Type* out,
                int64_t head_dim) {
  int64_t d = 0;
  for (; d + kLanes <= head_dim; d += kLanes) Format::StoreVec(out + d, divide(Load(value + d)));
  if (d < head_dim) {
    typename Format::Type lanes[kLanes];
    Format::StoreVec(lanes, divide(LoadPartial(value + d, head_dim - d)));
    for (int64_t i = 0; d + i < head_dim; ++i) out[d + i] = lanes[i];
  }
}

}  // namespace

void NormRows(const NormArgs& args, Range rows) {
  for (int64_t r = rows.begin; r < rows.end; ++r) {
    for (int64_t g = 0; g < args.groups; ++g) {
      NormVector(args, args.x + r * args.x_stride + g * args.cols,
                 args.out + r * args.out_stride + g * args.cols);
    }
  }
}

void GatedActivationRows(const GatedActivationArgs& args, Range rows) {
  for (int64_t r = rows.begin; r < rows.end; ++r) {
    const float* gate = args.x + r * args.x_stride;
    float* out = args.out + r * args.out_stride;
    for (int64_t c = 0; c < args.width; c += kLanes) {
      const int64_t n = args.width - c;
      const Vec value = LoadUpTo(gate + args.width + c, n);
      StoreUpTo(out + c, Activate(args.activation, LoadUpTo(gate + c, n)) * value, n);
    }
  }
}

template <typename Format>
void RopeAndCacheTokens(const RopeAndCacheArgs& args, Range tokens) {
  using Type = typename Format::Type;
  const KvLayer& cache = args.cache;
  const int64_t head_dim = cache.head_dim, block_size = cache.block_size;
  const int64_t rotated_heads = args.num_heads + cache.num_kv_heads;
  for (int64_t t = tokens.begin; t < tokens.end; ++t) {
    float* heads = args.qkv + t * args.qkv_stride;
    if (args.rotary_dim > 0) {
      const float* cos_sin = args.cos_sin + int64_t{args.table_rows[t]} * args.rotary_dim;
      for (int64_t h = 0; h < rotated_heads; ++h) {
        (args.style == RopeStyle::kHalf ? RotateHalf : RotateInterleaved)(
            heads + h * head_dim, cos_sin, args.rotary_dim / 2);
      }
    }
    const int64_t block = args.slots[t] / block_size, offset = args.slots[t] % block_size;
    for (int64_t h = 0; h < cache.num_kv_heads; ++h) {
      const int64_t row = (block * cache.num_kv_heads + h) * block_size;
      const int64_t base = row * head_dim;
      const float* key = heads + (args.num_heads + h) * head_dim;
      const float* value = key + cache.num_kv_heads * head_dim;
      const Divisor<Format> key_divisor(key, head_dim, cache.key_scales, row + offset);
      const Divisor<Format> value_divisor(value, head_dim, cache.value_scales, row + offset);
      StoreKey<Format>(key, key_divisor, static_cast<Type*>(cache.keys) + base + offset, head_dim,
                       block_size);
      StoreValue<Format>(value, value_divisor,
                         static_cast<Type*>(cache.values) + base + offset * head_dim, head_dim);
    }
  }
}

template void RopeAndCacheTokens<F32>(const RopeAndCacheArgs&, Range);
template void RopeAndCacheTokens<F16>(const RopeAndCacheArgs&, Range);
template void RopeAndCacheTokens<BF16>(const RopeAndCacheArgs&, Range);
template void RopeAndCacheTokens<I8>(const RopeAndCacheArgs&, Range);

namespace {

template <typename Function>
void MapArray(const float* x, float* out, int64_t count, const Function& f) {
  for (int64_t i = 0; i < count; i += kLanes) {
    StoreUpTo(out + i, f(LoadUpTo(x + i, count - i)), count - i);
  }
}

}  // namespace

void ActivateArray(Activation activation, const float* x, float* out, int64_t count) {
  MapArray(x, out, count, [&](Vec v) { return Activate(activation, v); });
}
void ExpArray(const float* x, float* out, int64_t count) { MapArray(x, out, count, Exp); }
void ErfArray(const float* x, float* out, int64_t count) { MapArray(x, out, count, Erf); }
void TanhArray(const float* x, float* out, int64_t count) { MapArray(x, out, count, Tanh); }

}  // namespace dray::kernels::DRAY_ISA
