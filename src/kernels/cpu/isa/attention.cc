// Attention of up to kMaxQueries queries over one chunk of one sequence's cache, and the merge of
// chunks.
//
// A query's result is the same bits whatever queries are computed beside it, because queries share
// nothing but loads. A score is one accumulator over ascending head dimensions. A weighted value is
// one accumulator over ascending tokens; tokens that the query does not see have the weight zero.
// Maximum and sum are first taken in lanes, and a token's lane is its position modulo 16.
#include <cstdint>

#include "kernels/cpu/isa/attention_dot_inl.h"
#include "kernels/cpu/isa/cache_layout.h"
#include "kernels/cpu/isa/math.h"
#include "kernels/cpu/isa/ops.h"
#include "kernels/cpu/isa/vec.h"

namespace dray::kernels::DRAY_ISA {
namespace {

constexpr float kMinusInfinity = -__builtin_inff();
constexpr int kChunkGroups = kChunkTokens / kLanes;

// Vectors of sums that the loops keep in registers.
constexpr int kSums = kAccumulators >= 16 ? 16 : kAccumulators >= 4 ? 4 : 1;
// The most queries that are computed at once, with sums of `acc_vectors` vectors. With few registers
// there are more queries and a single line, because a query's number is loaded faster than a line, which
// may have to be converted too: six queries and a line are 24 products for 10 loads.
constexpr int MostQueries(int acc_vectors) {
  if (kAccumulators >= 6 && kAccumulators < 16 && acc_vectors == 1) return 6;
  return kSums < 2 * acc_vectors ? 1 : kSums / (2 * acc_vectors);
}

// Groups are prefetched into L1 this many groups ahead. The weighted values of so many groups are
// computed together for all dimensions, so that values are read in the order of memory.
constexpr int kAhead = 4;

constexpr int AtLeastOne(int n) { return n > 0 ? n : 1; }

// Whether each token's key and value have a scale.
template <typename Format>
inline constexpr bool kScaled = sizeof(typename Format::Type) == 1;

// Calls f.template operator()<n>(first) for pieces of n = kMost and then of fewer items, down to 1, which
// cover all items. Smaller pieces are powers of two.
template <int kMost, typename Function>
DRAY_INLINE void ForPieces(int first, int end, const Function& f) {
  for (; end - first >= kMost; first += kMost) f.template operator()<kMost>(first);
  if constexpr (kMost > 1) ForPieces<(kMost == 6 ? 4 : kMost / 2)>(first, end, f);
}

// Sets the numbers of whole groups that lie outside of [begin, end) to `fill`.
void FillOutside(float* row, Range groups, int64_t begin, int64_t end, float fill) {
  for (int64_t t = groups.begin * kLanes; t < groups.end * kLanes; t += kLanes) {
    if (t >= begin && t + kLanes <= end) continue;
    const Vec lane = Iota() + Set1(static_cast<float>(t)), from = Set1(static_cast<float>(begin)),
              to = Set1(static_cast<float>(end)), outside = Set1(fill);
    Store(row + t, IfLess(lane, from, outside, IfLess(lane, to, Load(row + t), outside)));
  }
}

// One call of AttendChunk. Tokens and groups are counted from the chunk's begin.
template <typename Format>
class ChunkPass {
 public:
  ChunkPass(const AttentionChunkTask& task, const AttentionPartial& out)
      : task_(task),
        out_(out),
        head_dim_(task.cache->head_dim),
        packed_dims_(head_dim_ / kPack<Format> * kPack<Format>),
        keys_(static_cast<const std::byte*>(task.cache->keys)),
        values_(static_cast<const std::byte*>(task.cache->values)) {
    Range seen{task.begin[0], task.end[0]};
    for (int i = 1; i < task.num_queries; ++i) {
      if (task.begin[i] < seen.begin) seen.begin = task.begin[i];
      if (task.end[i] > seen.end) seen.end = task.end[i];
    }
    chunk_ = seen.begin / kChunkTokens * kChunkTokens;
    groups_ = {(seen.begin - chunk_) / kLanes, (seen.end - chunk_ + kLanes - 1) / kLanes};
    num_groups_ = FindGroups(task.block_table, task.kv_head, chunk_ + groups_.begin * kLanes,
                             seen.end, offsets_ + groups_.begin);
    for (int i = 0; i < num_groups_; ++i) {
      stream_[i] = keys_ + offsets_[groups_.begin + i];
      stream_[num_groups_ + i] = values_ + offsets_[groups_.begin + i];
    }
    int64_t next[kChunkGroups];
    const int num_next =
        FindGroups(task.next.block_table, task.next.kv_head,
                   task.next.tokens.begin / kLanes * kLanes, task.next.tokens.end, next);
    stream_end_ = 2 * num_groups_ + num_next;
    for (int i = 0; i < num_next; ++i) stream_[2 * num_groups_ + i] = keys_ + next[i];
  }

  void Run() {
    for (int i = 0; i < task_.num_queries; ++i) PackQuery(i);
    // Groups stay in L1 while all queries read them.
    const int64_t keys_at_once =
        task_.num_queries > kMostQueries ? VectorsFor(kMostQueries, 4) : kChunkGroups;
    for (int64_t g = groups_.begin; g < groups_.end; g += keys_at_once) {
      ScoreKeys({g, g + keys_at_once < groups_.end ? g + keys_at_once : groups_.end});
    }
    for (int i = 0; i < task_.num_queries; ++i) Softmax(i);
    // With integers the sums stay in registers, and a single query reads whole rows in any case.
    const int64_t at_once = kScaled<Format> || task_.num_queries == 1 ? kChunkGroups : kAhead;
    for (int64_t g = groups_.begin; g < groups_.end; g += at_once) {
      WeighValues({g, g + at_once < groups_.end ? g + at_once : groups_.end});
    }
  }

 private:
  using D = Dot<Format>;
  using Type = typename Format::Type;
  static constexpr int kUnitSteps = kLanes / kPack<Format>;
  static constexpr int kLine = kCacheLine<Format>;
  static constexpr int kRowBytes = kChunkTokens * static_cast<int>(sizeof(float));
  static constexpr int kMostQueries = MostQueries(D::kAccVectors);

  // The number of vectors of sums, at most `most`, that each of so many queries has at once.
  static constexpr int VectorsFor(int queries, int most) {
    const int vectors = AtLeastOne(kSums / (queries * D::kAccVectors));
    return vectors < most ? vectors : most;
  }

  // Stores the byte offsets of the groups of tokens [begin, end) and returns their number.
  int FindGroups(const int32_t* block_table, int64_t kv_head, int64_t begin, int64_t end,
                 int64_t* offsets) const {
    const KvLayer& c = *task_.cache;
    int count = 0;
    for (int64_t t = begin; t < end;) {
      const int64_t block = t / c.block_size;
      const int64_t block_end = (block + 1) * c.block_size;
      int64_t at = GroupStart(c, block_table[block], kv_head, t - block * c.block_size);
      for (; t < end && t < block_end; t += kLanes, at += kLanes * head_dim_) {
        offsets[count++] = at * static_cast<int64_t>(sizeof(Type));
      }
    }
    return count;
  }
  const float* Scales(const float* scales, int64_t group_offset) const {
    return scales + group_offset / head_dim_;
  }

  float* Scores(int i) const { return task_.scores + i * kChunkTokens; }
  std::byte* WeightUnit(int i, int64_t group) const {
    return reinterpret_cast<std::byte*>(Scores(i)) + group * D::kUnitBytes;
  }
  std::byte* QueryUnit(int i, int64_t d) const {
    constexpr int64_t kPerRow = kChunkTokens;  // a unit takes no more than it does in f32
    return reinterpret_cast<std::byte*>(task_.queries) +
           (d / kPerRow * kMaxQueries + i) * kRowBytes + d % kPerRow / kLanes * D::kUnitBytes;
  }

  void PackQuery(int i) {
    const auto load = [&](int64_t d) { return LoadUpTo(task_.q[i] + d, packed_dims_ - d); };
    const auto unit = [&](int64_t d) { return QueryUnit(i, d); };
    if constexpr (kScaled<Format>) {
      const float peak = __builtin_fabsf(PeakOf(task_.q[i], head_dim_));
      query_rows_[i] = D::StoreUnits(peak, packed_dims_, load, unit);
    } else {
      for (int64_t d = 0; d < packed_dims_; d += kLanes) D::StoreUnit(unit(d), load(d));
    }
  }

  void ScoreKeys(Range groups) {
    ForPieces<kMostQueries>(0, task_.num_queries, [&]<int kQueries>(int query) {
      ForPieces<VectorsFor(kQueries, 4)>(
          static_cast<int>(groups.begin), static_cast<int>(groups.end),
          [&]<int kGroups>(int group) { ScoreTile<kQueries, kGroups>(query, group); });
    });
  }

  // Computes the scores of kGroups groups: scaled, with their biases, not yet masked.
  template <int kQueries, int kGroups>
  __attribute__((noinline)) void ScoreTile(int query, int group) {
    typename D::Acc acc[kQueries][kGroups];
#pragma GCC unroll 8
    for (int i = 0; i < kQueries; ++i) {
#pragma GCC unroll 8
      for (int v = 0; v < kGroups; ++v) acc[i][v] = D::Start(query_rows_[query + i]);
    }
    const std::byte* lines[kGroups];
    for (int v = 0; v < kGroups; ++v) lines[v] = keys_ + offsets_[group + v];
    int64_t fetch[kGroups];
    for (int v = 0; v < kGroups; ++v) {
      fetch[v] = query == 0 ? ToFetch(group + v - static_cast<int>(groups_.begin)) : 0;
    }
    for (int64_t d = 0; d < packed_dims_; d += kLanes) {
      const int64_t left = (packed_dims_ - d) / kPack<Format>;
      const int steps = left < kUnitSteps ? static_cast<int>(left) : kUnitSteps;
      AddUnit<D, kUnitSteps, kRowBytes>(acc, lines, kLine, fetch, QueryUnit(query, d), steps);
      for (int v = 0; v < kGroups; ++v) lines[v] += kUnitSteps * kLine;
    }
#pragma GCC unroll 8
    for (int v = 0; v < kGroups; ++v) {
#pragma GCC unroll 8
      for (int i = 0; i < kQueries; ++i) {
        Vec score = D::Result(acc[i][v], query_rows_[query + i]);
        score = AddLeftOver(score, query + i, offsets_[group + v]);
        StoreScores(score, query + i, group + v);
      }
    }
  }

  // Adds the dimensions that do not fill a step.
  Vec AddLeftOver(Vec score, int query, int64_t offset) const {
    for (int64_t d = packed_dims_; d < head_dim_; ++d) {
      Type keys[kLanes];
      __builtin_memcpy(keys, keys_ + offset + d * kLanes * static_cast<int64_t>(sizeof(Type)),
                       sizeof(keys));
      if constexpr (kScaled<Format>) {
        for (Type& k : keys) k = static_cast<Type>(k ^ kByteZero);
      }
      score = Fma(Format::LoadVec(keys), Set1(task_.q[query][d]), score);
    }
    return score;
  }

  void StoreScores(Vec score, int query, int64_t group) const {
    if constexpr (kScaled<Format>) {
      score = score * Load(Scales(task_.cache->key_scales, offsets_[group]));
    }
    const Vec position = Set1(static_cast<float>(chunk_ + group * kLanes)) + Iota();
    score = Fma(score, Set1(task_.scale), Set1(task_.slope[query]) * position);
    if (task_.bias[query] != nullptr) score = score + Load(BiasOf(query, group));
    Store(Scores(query) + group * kLanes, score);
  }

  // The relative bias of a query for the keys of a group. Where all of them lie beyond the reach, any
  // entries beyond it will do.
  const float* BiasOf(int query, int64_t group) const {
    static_assert(RelativeBias::kMargin == kLanes);
    const int64_t least = -task_.bias_reach - kLanes, most = task_.bias_reach + 1;
    int64_t distance = chunk_ + group * kLanes - task_.position[query];
    if (distance < least) distance = least;
    if (distance > most) distance = most;
    return task_.bias[query] + distance;
  }

  // Turns scores into units of weights: exp(score - max), or zero for tokens that a query does not
  // see. In 8 bits they are multiplied by the scales of the values.
  __attribute__((noinline)) void Softmax(int i) {
    float* row = Scores(i);
    FillOutside(row, groups_, task_.begin[i] - chunk_, task_.end[i] - chunk_, kMinusInfinity);
    Vec max = Set1(kMinusInfinity);
    for (int64_t g = groups_.begin; g < groups_.end; ++g) max = Max(max, Load(row + g * kLanes));
    out_.max[i] = MaxOf(max);
    const Vec shift = Set1(out_.max[i]);
    Vec sum = Zero(), peak = Zero();
    for (int64_t g = groups_.begin; g < groups_.end; ++g) {
      const Vec e = Exp(Load(row + g * kLanes) - shift);
      if constexpr (kScaled<Format>) {
        sum = sum + e;
        // The scale of a token that was not written yet may be any number.
        const Vec scaled = e * Load(Scales(task_.cache->value_scales, offsets_[g]));
        const Vec weight = IfLess(Zero(), e, scaled, Zero());
        peak = Max(peak, weight);
        Store(row + g * kLanes, weight);
      } else {
        sum = sum + D::StoreUnit(WeightUnit(i, g), e);
      }
    }
    out_.sum[i] = Sum(sum);
    if constexpr (kScaled<Format>) {
      const float* weights = row + groups_.begin * kLanes;
      weight_rows_[i] = D::StoreUnits(
          MaxOf(peak), (groups_.end - groups_.begin) * kLanes,
          [&](int64_t t) { return Load(weights + t); },
          [&](int64_t t) { return WeightUnit(i, groups_.begin + t / kLanes); });
    }
  }

  void WeighValues(Range groups) {
    ForPieces<kMostQueries>(0, task_.num_queries, [&]<int kQueries>(int query) {
      const int lines = static_cast<int>(head_dim_ / kLanes);
      ForPieces<VectorsFor(kQueries, 8)>(0, lines, [&]<int kLines>(int line) {
        ValueTile<kQueries, kLines, false>(query, line * kLanes, groups);
      });
      if (head_dim_ % kLanes != 0) ValueTile<kQueries, 1, true>(query, lines * kLanes, groups);
    });
  }

  // Adds weighted values of kLines * 16 dimensions from `d` on, of which the last lanes
  // may be missing.
  template <int kQueries, int kLines, bool kPartial>
  __attribute__((noinline)) void ValueTile(int query, int64_t d, Range groups) {
    typename D::Acc acc[kQueries][kLines];
#pragma GCC unroll 8
    for (int i = 0; i < kQueries; ++i) {
#pragma GCC unroll 8
      for (int v = 0; v < kLines; ++v) acc[i][v] = D::Start(weight_rows_[query + i]);
    }
    const int64_t left = head_dim_ - d, stride = head_dim_ * (kLine / kLanes);
    if constexpr (!kScaled<Format>) {
      if (groups.begin > groups_.begin) {
#pragma GCC unroll 8
        for (int i = 0; i < kQueries; ++i) {
#pragma GCC unroll 8
          for (int v = 0; v < kLines; ++v) {
            acc[i][v] =
                LoadUpTo(out_.values + (query + i) * head_dim_ + d + v * kLanes, left - v * kLanes);
          }
        }
      }
    }
    alignas(64) std::byte copy[kPartial ? kUnitSteps * kLine : 1];
    for (int64_t g = groups.begin; g < groups.end; ++g) {
      const std::byte* lines[kLines];
      for (int v = 0; v < kLines; ++v) {
        lines[v] = values_ + offsets_[g] + d * (kLine / kLanes) + v * kLine;
      }
      if constexpr (kPartial) {
        CopyLanes(lines[0], stride, left, copy);
        lines[0] = copy;
      }
      const int in_stream = num_groups_ + static_cast<int>(g - groups_.begin);
      const int64_t fetch[1] = {query == 0 && !kPartial ? ToFetch(in_stream) : 0};
      AddUnit<D, kUnitSteps, kRowBytes>(acc, lines, kPartial ? kLine : stride, fetch,
                                        WeightUnit(query, g), kUnitSteps);
    }
#pragma GCC unroll 8
    for (int i = 0; i < kQueries; ++i) {
#pragma GCC unroll 8
      for (int v = 0; v < kLines; ++v) {
        StoreUpTo(out_.values + (query + i) * head_dim_ + d + v * kLanes,
                  D::Result(acc[i][v], weight_rows_[query + i]), left - v * kLanes);
      }
    }
  }
  // Copies the first lanes of each step's line; the others become zero.
  static void CopyLanes(const std::byte* line, int64_t stride, int64_t lanes, std::byte* out) {
    for (int s = 0; s < kUnitSteps; ++s, line += stride, out += kLine) {
      for (int64_t b = 0; b < kLine; ++b) {
        out[b] = b < lanes * (kLine / kLanes) ? line[b] : std::byte{0};
      }
    }
  }
  // The distance in bytes from group i of the stream to the group that is prefetched while group i
  // is read; 0 if none is.
  int64_t ToFetch(int i) const {
    return i + kAhead < stream_end_ ? stream_[i + kAhead] - stream_[i] : 0;
  }

  const AttentionChunkTask& task_;
  const AttentionPartial& out_;
  const int64_t head_dim_;
  const int64_t packed_dims_;  // dimensions that fill whole steps
  const std::byte* keys_;
  const std::byte* values_;
  int64_t chunk_ = 0;
  Range groups_;
  int64_t offsets_[kChunkGroups];
  // Groups in the order in which they are read: keys, values, and the keys that come next.
  int num_groups_ = 0, stream_end_ = 0;
  const std::byte* stream_[3 * kChunkGroups];
  typename D::Row query_rows_[kMaxQueries];
  typename D::Row weight_rows_[kMaxQueries];
};

}  // namespace

template <typename Format>
void AttendChunk(const AttentionChunkTask& task, const AttentionPartial& out) {
  ChunkPass<Format>(task, out).Run();
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
