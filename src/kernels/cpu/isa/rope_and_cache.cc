// The rotation of queries and keys, together with the store of keys and values into the cache.
#include <cstdint>

#include "kernels/cpu/isa/cache_layout.h"
#include "kernels/cpu/isa/math.h"
#include "kernels/cpu/isa/ops.h"
#include "kernels/cpu/isa/vec.h"

namespace dray::kernels::DRAY_ISA {
namespace {

// The numbers of a head lie far apart from token to token, too far for the processor to foresee. They are
// prefetched so many tokens early.
constexpr int64_t kTokensAhead = 8;

// Rotates the pairs x[i], x[i + half] for i < half, by cos[i] and sin[i].
void RotateHalf(float* x, const float* cos_sin, int64_t half) {
  for (int64_t i = 0; i < half; i += kLanes) {
    const int64_t n = half - i;
    const Vec a = LoadUpTo(x + i, n), b = LoadUpTo(x + half + i, n);
    const Vec c = LoadUpTo(cos_sin + i, n), s = LoadUpTo(cos_sin + half + i, n);
    StoreUpTo(x + i, a * c - b * s, n);
    StoreUpTo(x + half + i, b * c + a * s, n);
  }
}

// Rotates the pairs x[2i], x[2i + 1] for i < half.
void RotateInterleaved(float* x, const float* cos_sin, int64_t half) {
  for (int64_t i = 0; i < half; ++i) {
    const float a = x[2 * i], b = x[2 * i + 1];
    const float c = cos_sin[i], s = cos_sin[half + i];
    x[2 * i] = a * c - b * s;
    x[2 * i + 1] = b * c + a * s;
  }
}

// Divides a key or value by its scale before it is stored. Only 8 bits have scales.
template <typename Format>
struct Divisor {
  Divisor(const float*, int64_t, float*, int64_t) {}
  Vec operator()(Vec v) const { return v; }
};

template <>
struct Divisor<I8> {
  // Writes the scale of x[0 .. head_dim - 1] to scales[i].
  Divisor(const float* x, int64_t head_dim, float* scales, int64_t i) {
    const float peak = PeakOfNumbers(x, head_dim);
    scales[i] = peak / 127.0f;
    inverse = Set1(peak > 0.0f ? 127.0f / peak : 0.0f);
  }
  Vec operator()(Vec v) const {
    const Vec magic = Set1(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
    // This also turns NaN into a number: not every conversion to bytes can take NaN.
    return Min(Max((v * inverse + magic) - magic, Set1(-127.0f)), Set1(127.0f));
  }
  Vec inverse;
};

// Stores sixteen elements in the cache's format.
template <typename Format>
void StoreElements(typename Format::Type* lanes, Vec v) {
  Format::StoreVec(lanes, v);
  if constexpr (sizeof(typename Format::Type) == 1) {
    for (int i = 0; i < kLanes; ++i) {
      lanes[i] = static_cast<typename Format::Type>(lanes[i] ^ kByteZero);
    }
  }
}

// Stores a key in lane `lane` of a group of keys.
template <typename Format>
void StoreKey(const float* key, const Divisor<Format>& divide, typename Format::Type* group,
              int64_t lane, int64_t head_dim) {
  constexpr int kStep = kPack<Format>;
  typename Format::Type* out = group + lane * kStep;
  for (int64_t d = 0; d < head_dim; d += kLanes) {
    const int64_t n = head_dim - d < kLanes ? head_dim - d : kLanes;
    typename Format::Type lanes[kLanes];
    StoreElements<Format>(lanes, divide(LoadUpTo(key + d, n)));
    int64_t i = 0;
    for (; i + kStep <= n; i += kStep, out += kLanes * kStep) {
      std::memcpy(out, lanes + i, kStep * sizeof(lanes[0]));
    }
    for (; i < n; ++i) group[(d + i) * kLanes + lane] = lanes[i];
  }
}

// Stores a value as token `token` of a group of values.
template <typename Format>
void StoreValue(const float* value, const Divisor<Format>& divide, typename Format::Type* group,
                int64_t token, int64_t head_dim) {
  constexpr int kStep = kPack<Format>;
  typename Format::Type* out = group + token / kStep * kStep * head_dim + token % kStep;
  const Vec most = Set1(Format::kLargest), least = Set1(-Format::kLargest);
  for (int64_t d = 0; d < head_dim; d += kLanes) {
    const int64_t n = head_dim - d < kLanes ? head_dim - d : kLanes;
    typename Format::Type lanes[kLanes];
    StoreElements<Format>(lanes, Min(Max(divide(LoadUpTo(value + d, n)), least), most));
    if (kStep == 1 && n == kLanes) {
      std::memcpy(out + d, lanes, sizeof(lanes));
    } else {
      for (int64_t i = 0; i < n; ++i) out[(d + i) * kStep] = lanes[i];
    }
  }
}

void NormHead(const VectorNorm& norm, int64_t head_dim, float* head) {
  NormRows({.norm = norm,
            .x = {head, DType::kF32, head_dim},
            .out = {head, DType::kF32, head_dim},
            .rows = 1,
            .cols = head_dim},
           Range{0, 1});
}

void Rotate(const RopeAndCacheArgs& args, int64_t token, float* head) {
  const float* cos_sin = args.cos_sin + int64_t{args.table_rows[token]} * args.rotary_dim;
  (args.style == RopeStyle::kHalf ? RotateHalf : RotateInterleaved)(head, cos_sin,
                                                                    args.rotary_dim / 2);
}

template <typename Format>
void StoreInCache(const RopeAndCacheArgs& args, int64_t token, int64_t kv_head, bool is_key,
                  const float* x) {
  using Type = typename Format::Type;
  const KvLayer& cache = args.cache;
  const int64_t block = args.slots[token] / cache.block_size;
  const int64_t offset = args.slots[token] % cache.block_size, lane = offset % kLanes;
  const int64_t group = GroupStart(cache, block, kv_head, offset);
  const Divisor<Format> divisor(x, cache.head_dim, is_key ? cache.key_scales : cache.value_scales,
                                group / cache.head_dim + lane);
  if (is_key) {
    StoreKey<Format>(x, divisor, static_cast<Type*>(cache.keys) + group, lane, cache.head_dim);
  } else {
    StoreValue<Format>(x, divisor, static_cast<Type*>(cache.values) + group, lane, cache.head_dim);
  }
}

}  // namespace

template <typename Format>
void RopeAndCacheHeads(const RopeAndCacheArgs& args, Range heads) {
  const int64_t head_dim = args.cache.head_dim, kv_heads = args.cache.num_kv_heads;
  for (int64_t h = heads.begin; h < heads.end; ++h) {
    const int64_t kv_head = h - args.num_heads;  // of keys, then values; negative: a query
    const bool is_value = kv_head >= kv_heads;
    const VectorNorm* norm = kv_head < 0 ? args.query_norm : is_value ? nullptr : args.key_norm;
    if (kv_head < 0 && norm == nullptr && args.rotary_dim == 0) continue;
    for (int64_t t = 0; t < args.num_tokens; ++t) {
      float* x = args.qkv.as<float>() + t * args.qkv.stride + h * head_dim;
      if (t + kTokensAhead < args.num_tokens) {
        const float* later = x + kTokensAhead * args.qkv.stride;
        for (int64_t d = 0; d < head_dim; d += kLanes) PrefetchNear(later + d);
      }
      if (norm != nullptr) NormHead(*norm, head_dim, x);
      if (args.rotary_dim > 0 && !is_value) Rotate(args, t, x);
      if (kv_head >= 0) StoreInCache<Format>(args, t, kv_head % kv_heads, !is_value, x);
    }
  }
}

template void RopeAndCacheHeads<F32>(const RopeAndCacheArgs&, Range);
template void RopeAndCacheHeads<F16>(const RopeAndCacheArgs&, Range);
template void RopeAndCacheHeads<BF16>(const RopeAndCacheArgs&, Range);
template void RopeAndCacheHeads<I8>(const RopeAndCacheArgs&, Range);

}  // namespace dray::kernels::DRAY_ISA
