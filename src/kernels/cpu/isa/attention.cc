// Attention of up to kMaxQueries queries against one chunk of one sequence's cache, and the merge
// of chunks.
//
// What fixes a query's bits: a score is one accumulator over ascending head dimensions; a weighted
// value is one accumulator over exactly the tokens that the query sees, ascending; maximum and sum
// are taken over lanes that are the token's position modulo 16. Queries only share loads.
#include <cstdint>

#include "kernels/cpu/isa/math.h"
#include "kernels/cpu/isa/ops.h"
#include "kernels/cpu/isa/vec.h"

namespace dray::kernels::DRAY_ISA {
namespace {

#define DRAY_INLINE __attribute__((always_inline)) inline

constexpr float kMinusInfinity = -__builtin_inff();

// The most queries that one pass of a loop serves, so that two token vectors (or two value vectors)
// for each stay in registers.
constexpr int kPassQueries = kAccumulators >= 16 ? 8 : kAccumulators >= 4 ? 2 : 1;

// Whether keys and values lie beside scales of their tokens.
template <typename Format>
inline constexpr bool kScaled = sizeof(typename Format::Type) == 1;

int64_t MinBegin(const AttentionChunkTask& task) {
  int64_t least = task.begin[0];
  for (int i = 1; i < task.num_queries; ++i) least = task.begin[i] < least ? task.begin[i] : least;
  return least;
}
int64_t MaxEnd(const AttentionChunkTask& task) {
  int64_t most = task.end[0];
  for (int i = 1; i < task.num_queries; ++i) most = task.end[i] > most ? task.end[i] : most;
  return most;
}

// Where this sequence's tokens lie in the cache, for one key head.
template <typename Format>
class Pages {
 public:
  using Type = typename Format::Type;
  explicit Pages(const AttentionChunkTask& chunk_task) : task_(chunk_task) {}

  // Key dimension 0 of `token`, a multiple of 16; dimensions lie block_size apart, tokens adjacent.
  const Type* Key(int64_t token) const {
    return static_cast<const Type*>(task_.cache->keys) + HeadBase(token) +
           token % task_.cache->block_size;
  }
  const Type* Value(int64_t token) const {
    return static_cast<const Type*>(task_.cache->values) + HeadBase(token) + OffsetInBlock(token);
  }
  // The scales of `token` and those after it in its block, of 8-bit keys or values.
  const float* Scales(const float* scales, int64_t token) const {
    const KvLayer& c = *task_.cache;
    return scales + HeadBase(token) / c.head_dim + token % c.block_size;
  }
  // What lies where the values of `token` do, but among the keys.
  const Type* KeysBeside(int64_t token) const {
    return static_cast<const Type*>(task_.cache->keys) + HeadBase(token) + OffsetInBlock(token);
  }

 private:
  int64_t OffsetInBlock(int64_t token) const {
    return token % task_.cache->block_size * task_.cache->head_dim;
  }
  int64_t HeadBase(int64_t token) const {
    const KvLayer& c = *task_.cache;
    return (int64_t{task_.block_table[token / c.block_size]} * c.num_kv_heads + task_.kv_head) *
           c.head_dim * c.block_size;
  }

  const AttentionChunkTask& task_;
};

// To L2. Not PrefetchFar: around its inline assembly g++ 12 keeps the accumulators of the loop in
// memory, which made prompts take 1.7 times as long.
template <typename Type>
DRAY_INLINE void PrefetchElements(const Type* p, int count) {
  for (int i = 0; i * 64 < count * static_cast<int>(sizeof(Type)); ++i) {
    __builtin_prefetch(reinterpret_cast<const char*>(p) + i * 64, 0, 2);
  }
}

// Scores of kQueries queries for kVecs vectors of 16 tokens: scaled, with ALiBi, not yet masked.
template <typename Format, int kQueries, int kVecs>
void ScoreTile(const AttentionChunkTask& task, int first_query, int64_t token, int64_t chunk) {
  const Pages<Format> pages(task);
  const typename Format::Type* keys[kVecs];
  for (int v = 0; v < kVecs; ++v) keys[v] = pages.Key(token + v * kLanes);
  const float* q[kQueries];
  for (int i = 0; i < kQueries; ++i) q[i] = task.q[first_query + i];
  Vec acc[kQueries][kVecs];
  for (auto& row : acc) {
    for (Vec& a : row) a = Zero();
  }
  const int64_t head_dim = task.cache->head_dim, stride = task.cache->block_size;
  const typename Format::Type* values = pages.Value(token);
  for (int64_t d = 0; d < head_dim; ++d) {
    // The values of these tokens come next; the first group of queries fetches them into L2.
    if (first_query == 0) PrefetchElements(values + d * kVecs * kLanes, kVecs * kLanes);
    Vec k[kVecs];
    for (int v = 0; v < kVecs; ++v) k[v] = Format::LoadVec(keys[v] + d * stride);
#pragma GCC unroll 8
    for (int i = 0; i < kQueries; ++i) {
      const Vec qd = Set1(q[i][d]);
      for (int v = 0; v < kVecs; ++v) acc[i][v] = Fma(k[v], qd, acc[i][v]);
    }
  }
  Vec key_scales[kVecs];
  if constexpr (kScaled<Format>) {
    for (int v = 0; v < kVecs; ++v) {
      key_scales[v] = Load(pages.Scales(task.cache->key_scales, token + v * kLanes));
    }
  }
  for (int i = 0; i < kQueries; ++i) {
    const Vec slope = Set1(task.slope[first_query + i]);
    float* scores = task.scores + (first_query + i) * kChunkTokens + (token - chunk);
    for (int v = 0; v < kVecs; ++v) {
      if constexpr (kScaled<Format>) acc[i][v] = acc[i][v] * key_scales[v];
      const Vec position = Set1(static_cast<float>(token + v * kLanes)) + Iota();
      Store(scores + v * kLanes, Fma(acc[i][v], Set1(task.scale), slope * position));
    }
  }
}

template <typename Format, int kQueries>
void ScoreQueries(const AttentionChunkTask& task, int first_query, int64_t begin, int64_t end,
                  int64_t chunk) {
  int64_t token = begin;
  for (; token + kLanes < end; token += 2 * kLanes) {
    ScoreTile<Format, kQueries, 2>(task, first_query, token, chunk);
  }
  if (token < end) ScoreTile<Format, kQueries, 1>(task, first_query, token, chunk);
}

// Calls f.template operator()<n>(first) for groups of 8, 4, 2 and 1 queries that cover all.
template <int kGroup = kPassQueries, typename Function>
void ForQueryGroups(int first, int num_queries, const Function& f) {
  for (; num_queries - first >= kGroup; first += kGroup) f.template operator()<kGroup>(first);
  if constexpr (kGroup > 1) ForQueryGroups<kGroup / 2>(first, num_queries, f);
}

// Scores of [begin, end) become exp(score - max); what lies outside, within whole vectors, zero.
void Softmax(float* scores, int64_t begin, int64_t end, int64_t chunk, float& max, float& sum) {
  const int64_t first = begin / kLanes * kLanes;
  const Vec from = Set1(static_cast<float>(begin - chunk)),
            to = Set1(static_cast<float>(end - chunk));
  const Vec outside = Set1(kMinusInfinity);
  Vec max_vec = outside;
  for (int64_t t = first; t < end; t += kLanes) {
    float* s = scores + (t - chunk);
    const Vec lane = Iota() + Set1(static_cast<float>(t - chunk));
    const Vec v = IfLess(lane, from, outside, IfLess(lane, to, Load(s), outside));
    Store(s, v);
    max_vec = Max(max_vec, v);
  }
  max = MaxOf(max_vec);
  const Vec shift = Set1(max);
  Vec sum_vec = Zero();
  for (int64_t t = first; t < end; t += kLanes) {
    const Vec e = Exp(Load(scores + (t - chunk)) - shift);
    Store(scores + (t - chunk), e);
    sum_vec = sum_vec + e;
  }
  sum = Sum(sum_vec);
}

// Weights times the scales of their values; only those of tokens that a query sees are numbers.
template <typename Format>
void ScaleWeights(const AttentionChunkTask& task, int64_t first, int64_t end, int64_t chunk) {
  const Pages<Format> pages(task);
  for (int64_t t = first; t < end; t += kLanes) {
    const Vec scales = Load(pages.Scales(task.cache->value_scales, t));
    for (int i = 0; i < task.num_queries; ++i) {
      float* weights = task.scores + i * kChunkTokens + (t - chunk);
      Store(weights, Load(weights) * scales);
    }
  }
}

// values[query][d ...] += weights * V over tokens [begin, end), for kVecs vectors of dimensions, of
// which the last may be partial.
template <typename Format, int kQueries, int kVecs, bool kPartial>
void ValueTile(const AttentionChunkTask& task, int first_query, Range tokens, int64_t chunk,
               int64_t d, float* values) {
  const Pages<Format> pages(task);
  const int64_t head_dim = task.cache->head_dim, block_size = task.cache->block_size;
  const int64_t left = kPartial ? head_dim - d : kVecs * kLanes;
  Vec acc[kQueries][kVecs];
#pragma GCC unroll 8
  for (int i = 0; i < kQueries; ++i) {
#pragma GCC unroll 8
    for (int v = 0; v < kVecs; ++v) {
      acc[i][v] = LoadUpTo(values + i * head_dim + d + v * kLanes, left - v * kLanes);
    }
  }
  for (int64_t t = tokens.begin; t < tokens.end;) {
    const int64_t block_end = (t / block_size + 1) * block_size;
    const int64_t end = block_end < tokens.end ? block_end : tokens.end;
    const typename Format::Type* row = pages.Value(t) + d;
    const float* weights = task.scores + first_query * kChunkTokens + (t - chunk);
    // The keys of the next chunk, as much of them as is read of these values.
    const bool fetch = first_query == 0 && t + kChunkTokens < task.context_tokens;
    const typename Format::Type* next = fetch ? pages.KeysBeside(t + kChunkTokens) + d : row;
    for (; t < end; ++t, row += head_dim, next += head_dim, ++weights) {
      if (fetch) PrefetchElements(next, kVecs * kLanes);
      Vec value[kVecs];
#pragma GCC unroll 8
      for (int v = 0; v < kVecs; ++v) {
        value[v] = kPartial ? LoadFirst<Format>(row + v * kLanes, left - v * kLanes)
                            : Format::LoadVec(row + v * kLanes);
      }
#pragma GCC unroll 8
      for (int i = 0; i < kQueries; ++i) {
        const Vec w = Set1(weights[i * kChunkTokens]);
#pragma GCC unroll 8
        for (int v = 0; v < kVecs; ++v) acc[i][v] = Fma(value[v], w, acc[i][v]);
      }
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kQueries; ++i) {
#pragma GCC unroll 8
    for (int v = 0; v < kVecs; ++v) {
      StoreUpTo(values + i * head_dim + d + v * kLanes, acc[i][v], left - v * kLanes);
    }
  }
}

template <typename Format, int kQueries>
void ValueQueries(const AttentionChunkTask& task, int first_query, Range tokens, int64_t chunk,
                  float* values) {
  if (tokens.begin >= tokens.end) return;
  // As many vectors of dimensions as the registers hold: whole cache rows for a single query.
  constexpr int kVecs = kAccumulators / kQueries >= 8   ? 8
                        : kAccumulators / kQueries >= 4 ? 4
                        : kAccumulators / kQueries >= 2 ? 2
                                                        : 1;
  const int64_t head_dim = task.cache->head_dim;
  values += first_query * head_dim;
  int64_t d = 0;
  for (; d + kVecs * kLanes <= head_dim; d += kVecs * kLanes) {
    ValueTile<Format, kQueries, kVecs, false>(task, first_query, tokens, chunk, d, values);
  }
  for (; d + kLanes <= head_dim; d += kLanes) {
    ValueTile<Format, kQueries, 1, false>(task, first_query, tokens, chunk, d, values);
  }
  if (d < head_dim) {
    ValueTile<Format, kQueries, 1, true>(task, first_query, tokens, chunk, d, values);
  }
}

// Tokens that all queries see are read once for a group; what is before and after, query by query.
template <typename Format>
void WeighValues(const AttentionChunkTask& task, int64_t chunk, float* values) {
  int64_t shared_begin = task.begin[0], shared_end = task.end[0];
  for (int i = 1; i < task.num_queries; ++i) {
    if (task.begin[i] > shared_begin) shared_begin = task.begin[i];
    if (task.end[i] < shared_end) shared_end = task.end[i];
  }
  if (shared_end < shared_begin) shared_end = shared_begin;
  for (int i = 0; i < task.num_queries; ++i) {
    const int64_t end = task.end[i] < shared_begin ? task.end[i] : shared_begin;
    ValueQueries<Format, 1>(task, i, {task.begin[i], end}, chunk, values);
  }
  ForQueryGroups(0, task.num_queries, [&]<int kGroup>(int first) {
    ValueQueries<Format, kGroup>(task, first, {shared_begin, shared_end}, chunk, values);
  });
  for (int i = 0; i < task.num_queries; ++i) {
    const int64_t begin = task.begin[i] > shared_end ? task.begin[i] : shared_end;
    ValueQueries<Format, 1>(task, i, {begin, task.end[i]}, chunk, values);
  }
}

}  // namespace

template <typename Format>
void AttendChunk(const AttentionChunkTask& task, const AttentionPartial& out) {
  const int64_t begin = MinBegin(task), end = MaxEnd(task);
  const int64_t chunk = begin / kChunkTokens * kChunkTokens;
  const int64_t first = begin / kLanes * kLanes;
  ForQueryGroups(0, task.num_queries, [&]<int kGroup>(int query) {
    ScoreQueries<Format, kGroup>(task, query, first, end, chunk);
  });
  for (int i = 0; i < task.num_queries; ++i) {
    Softmax(task.scores + i * kChunkTokens, task.begin[i], task.end[i], chunk, out.max[i],
            out.sum[i]);
  }
  if constexpr (kScaled<Format>) ScaleWeights<Format>(task, first, end, chunk);
  const int64_t count = task.num_queries * task.cache->head_dim;
  for (int64_t i = 0; i < count; ++i) out.values[i] = 0.0f;
  WeighValues<Format>(task, chunk, out.values);
}

template void AttendChunk<F32>(const AttentionChunkTask&, const AttentionPartial&);
template void AttendChunk<F16>(const AttentionChunkTask&, const AttentionPartial&);
template void AttendChunk<BF16>(const AttentionChunkTask&, const AttentionPartial&);
template void AttendChunk<I8>(const AttentionChunkTask&, const AttentionPartial&);

void MergeChunk(int num_queries, int64_t head_dim, const AttentionPartial& chunk,
                const AttentionPartial& into) {
  for (int i = 0; i < num_queries; ++i) {
    const float max = into.max[i] > chunk.max[i] ? into.max[i] : chunk.max[i];
    float shifts[kLanes] = {into.max[i] - max, chunk.max[i] - max};
    Store(shifts, Exp(Load(shifts)));
    const Vec old_scale = Set1(shifts[0]), new_scale = Set1(shifts[1]);
    into.max[i] = max;
    into.sum[i] = into.sum[i] * shifts[0] + chunk.sum[i] * shifts[1];
    float* to = into.values + i * head_dim;
    const float* from = chunk.values + i * head_dim;
    for (int64_t d = 0; d < head_dim; d += kLanes) {
      const int64_t n = head_dim - d;
      const Vec sum = Fma(LoadUpTo(from + d, n), new_scale, LoadUpTo(to + d, n) * old_scale);
      StoreUpTo(to + d, sum, n);
    }
  }
}

}  // namespace dray::kernels::DRAY_ISA
