// Attention. The queries of a ragged batch are cut into tiles, and each sequence's context into
// chunks. Threads take tiles or chunks when they are free. The results of chunks are merged in
// ascending order.
//
// A tile is up to kMaxQueries queries of one sequence that share a key head: some rows times some
// of the heads of its group. If there are enough tiles for the threads, one thread computes all
// chunks of a tile. Otherwise (few heads, long contexts) threads take single chunks, whose partial
// results wait in scratch until all of them are computed. The arithmetic is the same in both cases.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <limits>

#include "base/checked_math.h"
#include "kernels/cpu/cpu_ops.h"

namespace dray::kernels {
namespace {

// If there are fewer tiles than this for each thread, threads take single chunks.
constexpr int64_t kTilesPerThread = 4;

// How one sequence is cut into tiles and chunks.
struct SequencePlan {
  int64_t first_tile = 0;  // number of tiles before this sequence
  int64_t row_tiles = 0;
  int64_t rows_per_tile = 0;
  int64_t max_chunks = 0;
};

// The heads of one group are cut into equal pieces of at most kMaxQueries.
struct HeadPieces {
  int64_t group = 1;
  int64_t count = 1;

  explicit HeadPieces(const AttentionArgs& args)
      : group(args.num_heads / args.cache.num_kv_heads),
        count(DivideRoundUp<int64_t>(group, kMaxQueries)) {}
  int64_t Begin(int64_t piece) const { return group * piece / count; }
  int64_t largest() const { return DivideRoundUp(group, count); }
};

SequencePlan PlanSequence(const AttentionArgs& args, const AttentionSequence& sequence) {
  SequencePlan plan;
  plan.rows_per_tile = std::max<int64_t>(1, kMaxQueries / HeadPieces(args).largest());
  plan.row_tiles = DivideRoundUp<int64_t>(sequence.num_rows, plan.rows_per_tile);
  plan.max_chunks = DivideRoundUp<int64_t>(sequence.context_tokens, kChunkTokens);
  return plan;
}

// The queries of one tile, and the positions that each of them sees.
struct Tile {
  const AttentionArgs* args = nullptr;
  const AttentionSequence* sequence = nullptr;
  int64_t kv_head = 0;
  int64_t first_head = 0, num_heads = 0;
  int64_t first_row = 0, num_rows = 0;  // within the sequence

  // The positions that row `row` of the sequence sees.
  Range Visible(int64_t row) const {
    const int64_t first = sequence->first_token;
    if (args->mask == AttentionMask::kFull) return {first, sequence->context_tokens};
    const int64_t end = Position(row) + 1;
    return {args->window > 0 ? std::max(first, end - args->window) : first, end};
  }
  // The position of row `row` of the sequence.
  int64_t Position(int64_t row) const {
    return sequence->context_tokens - sequence->num_rows + row;
  }
  // The chunks of which at least one row sees something.
  Range Chunks() const {
    return {Visible(first_row).begin / kChunkTokens,
            (Visible(first_row + num_rows - 1).end - 1) / kChunkTokens + 1};
  }
  // The rows that see something of a chunk. They are neighbours, because positions ascend.
  Range RowsOf(int64_t chunk) const {
    Range rows{first_row, first_row + num_rows};
    while (rows.begin < rows.end && Visible(rows.begin).end <= chunk * kChunkTokens) ++rows.begin;
    while (rows.end > rows.begin && Visible(rows.end - 1).begin >= (chunk + 1) * kChunkTokens) {
      --rows.end;
    }
    return rows;
  }
  // The positions of a chunk that at least one row sees.
  CacheSpan SpanOf(int64_t chunk) const {
    return {args->block_tables + sequence->table_offset,
            kv_head,
            {std::max(Visible(first_row).begin, chunk * kChunkTokens),
             std::min(Visible(first_row + num_rows - 1).end, (chunk + 1) * kChunkTokens)}};
  }
  int64_t num_queries() const { return num_rows * num_heads; }
};

// Prefetches the cache lines of `rows` rows of `bytes` bytes, `stride` floats apart.
template <int kForWrite>
void PrefetchRows(const float* row, int64_t rows, int64_t stride, int64_t bytes) {
  for (int64_t r = 0; r < rows; ++r, row += stride) {
    const auto* line = reinterpret_cast<const std::byte*>(row);
    for (int64_t b = 0; b < bytes; b += 64) __builtin_prefetch(line + b, kForWrite, 2);
  }
}

// The scratch memory of one thread.
struct ThreadMemory {
  float* scores;
  float* queries;
  float* total;
  float* chunk;
};

// The head's bias for distance zero; null without a bias.
const float* BiasOf(const RelativeBias& bias, int64_t head) {
  if (bias.values == nullptr) return nullptr;
  return bias.values + head * bias.stride() + bias.reach + RelativeBias::kMargin;
}

// Returns the task that computes the queries of `rows` of a tile over one chunk.
AttentionChunkTask ChunkTask(const Tile& tile, Range rows, int64_t chunk, const CacheSpan& next,
                             const ThreadMemory& memory) {
  const AttentionArgs& args = *tile.args;
  AttentionChunkTask task;
  task.cache = &args.cache;
  task.block_table = args.block_tables + tile.sequence->table_offset;
  task.kv_head = tile.kv_head;
  task.next = next;
  task.scale = args.scale;
  task.bias_reach = args.relative_bias.reach;
  task.scores = memory.scores;
  task.queries = memory.queries;
  for (int64_t r = rows.begin; r < rows.end; ++r) {
    const Range visible = tile.Visible(r);
    for (int64_t h = tile.first_head; h < tile.first_head + tile.num_heads; ++h) {
      const int i = task.num_queries++;
      task.q[i] = args.q.as<float>() + (tile.sequence->first_row + r) * args.q.stride +
                  h * args.cache.head_dim;
      task.begin[i] = std::max(visible.begin, chunk * kChunkTokens);
      task.end[i] = std::min(visible.end, (chunk + 1) * kChunkTokens);
      task.slope[i] = args.alibi_slopes != nullptr ? args.alibi_slopes[h] : 0.0f;
      task.position[i] = tile.Position(r);
      task.bias[i] = BiasOf(args.relative_bias, h);
    }
  }
  return task;
}

// Floats of a partial result of `queries` queries, in whole cache lines.
int64_t PartialFloats(int64_t queries, int64_t head_dim) {
  return RoundUp<int64_t>(queries * (head_dim + 2), 16);
}

AttentionPartial PartialAt(float* memory, int64_t queries) {
  return {memory, memory + queries, memory + 2 * queries};
}

// One call of Attention.
class AttentionCall {
 public:
  AttentionCall(const AttentionArgs& args, const IsaKernels& isa)
      : args_(args), isa_(isa), pieces_(args) {
    queries_per_tile_ = pieces_.largest() * std::max<int64_t>(1, kMaxQueries / pieces_.largest());
    partial_floats_ = PartialFloats(queries_per_tile_, args.cache.head_dim);
  }

  int64_t plan_bytes() const {
    return RoundUp<int64_t>(args_.num_sequences * static_cast<int64_t>(sizeof(SequencePlan)), 64);
  }
  int64_t thread_bytes() const {
    return (kMaxQueries * kChunkTokens + query_floats() + 2 * partial_floats_) *
           static_cast<int64_t>(sizeof(float));
  }

  // Fills the plan and decides whether chunks are split; `plans` has plan_bytes().
  void Plan(SequencePlan* plans, int num_threads) {
    plans_ = plans;
    int64_t context_tokens = 0, pairs = 0;  // of queries and keys, in each head
    for (int64_t s = 0; s < args_.num_sequences; ++s) {
      plans[s] = PlanSequence(args_, args_.sequences[s]);
      plans[s].first_tile = num_tiles_;
      num_tiles_ += plans[s].row_tiles * args_.cache.num_kv_heads * pieces_.count;
      max_chunks_ = std::max(max_chunks_, plans[s].max_chunks);
      const AttentionSequence& sequence = args_.sequences[s];
      context_tokens += sequence.context_tokens;
      pairs += int64_t{sequence.num_rows} * sequence.context_tokens;
    }
    split_chunks_ =
        num_threads > 1 && max_chunks_ > 1 && num_tiles_ < kTilesPerThread * num_threads;
    // With fewer numbers to read and products to compute than these, the caller computes alone: all of it
    // takes a few microseconds.
    constexpr int64_t kWorthWaking = 16 << 10;
    constexpr int64_t kProductsWorthWaking = 128 << 10;
    alone_ = context_tokens * num_tiles_ * args_.cache.head_dim <
                 kWorthWaking * std::max<int64_t>(1, args_.num_sequences) &&
             pairs * args_.num_heads * args_.cache.head_dim < kProductsWorthWaking;
  }
  bool alone() const { return alone_; }
  int64_t partial_bytes() const {
    return split_chunks_
               ? num_tiles_ * max_chunks_ * partial_floats_ * static_cast<int64_t>(sizeof(float))
               : 0;
  }

  // Does the share of one thread. `barrier` waits until all threads have called it.
  template <typename Barrier>
  void Run(float* thread_memory, float* partials, const Barrier& barrier) {
    const ThreadMemory memory = Divide(thread_memory);
    if (!split_chunks_) {
      WholeTiles(memory);
      return;
    }
    SingleChunks(memory, partials);
    barrier();
    for (int64_t i; (i = Take(next_merge_)) < num_tiles_;) {
      MergeTile(TileAt(i), partials + i * max_chunks_ * partial_floats_, memory);
    }
  }

 private:
  static int64_t Take(std::atomic<int64_t>& next) {
    return next.fetch_add(1, std::memory_order_relaxed);
  }
  int64_t query_floats() const {
    return kMaxQueries * RoundUp<int64_t>(args_.cache.head_dim, kChunkTokens);
  }
  ThreadMemory Divide(float* memory) const {
    float* queries = memory + kMaxQueries * kChunkTokens;
    float* total = queries + query_floats();
    return {memory, queries, total, total + partial_floats_};
  }

  // Computes whole tiles. A thread takes its next tile early and prefetches it while it works.
  void WholeTiles(const ThreadMemory& memory) {
    // The last tiles of a prompt see most and take longest, so they are computed first.
    const auto tile_at = [&](int64_t i) { return TileAt(num_tiles_ - 1 - i); };
    for (int64_t i = Take(next_), next = 0; i < num_tiles_; i = next) {
      next = Take(next_);
      CacheSpan next_span;
      if (next < num_tiles_) {
        const Tile tile = tile_at(next);
        next_span = tile.SpanOf(tile.Chunks().begin);
        PrefetchRows<0>(args_.q.as<float>() + FirstRow(tile) * args_.q.stride + FirstColumn(tile),
                        tile.num_rows, args_.q.stride, RowBytes(tile));
      }
      WholeTile(tile_at(i), next_span, memory);
    }
  }

  void SingleChunks(const ThreadMemory& memory, float* partials) {
    const int64_t count = num_tiles_ * max_chunks_;
    for (int64_t i = Take(next_), next = 0; i < count; i = next) {
      next = Take(next_);
      CacheSpan next_span;
      if (next < count) next_span = TileAt(next / max_chunks_).SpanOf(next % max_chunks_);
      OneChunk(TileAt(i / max_chunks_), i % max_chunks_, next_span, memory,
               partials + i * partial_floats_);
    }
  }

  Tile TileAt(int64_t index) const {
    const SequencePlan* plan =
        std::upper_bound(plans_, plans_ + args_.num_sequences, index,
                         [](int64_t i, const SequencePlan& p) { return i < p.first_tile; }) -
        1;
    const int64_t in_sequence = index - plan->first_tile;
    // The rows of a head follow each other, so that they find its keys in the processor's cache.
    const int64_t head = in_sequence / plan->row_tiles, row_tile = in_sequence % plan->row_tiles;
    Tile tile;
    tile.args = &args_;
    tile.sequence = args_.sequences + (plan - plans_);
    tile.kv_head = head / pieces_.count;
    const int64_t piece = head % pieces_.count;
    tile.first_head = tile.kv_head * pieces_.group + pieces_.Begin(piece);
    tile.num_heads = pieces_.Begin(piece + 1) - pieces_.Begin(piece);
    tile.first_row = row_tile * plan->rows_per_tile;
    tile.num_rows =
        std::min<int64_t>(plan->rows_per_tile, tile.sequence->num_rows - tile.first_row);
    return tile;
  }

  void ComputeChunk(const Tile& tile, Range rows, int64_t chunk, const CacheSpan& next,
                    const ThreadMemory& memory, const AttentionPartial& out) const {
    const AttentionChunkTask task = ChunkTask(tile, rows, chunk, next, memory);
    isa_.attention_chunk[CacheFormat(args_.cache.dtype)](task, out);
  }

  void Clear(const Tile& tile, const AttentionPartial& total) const {
    const int64_t queries = tile.num_queries();
    std::fill_n(total.max, queries, -std::numeric_limits<float>::infinity());
    std::fill_n(total.sum, queries, 0.0f);
    std::fill_n(total.values, queries * args_.cache.head_dim, 0.0f);
  }

  // Merges the result of a chunk, of which `rows` of the tile saw something, into the total.
  void Merge(const Tile& tile, Range rows, const AttentionPartial& chunk,
             const AttentionPartial& total) const {
    const int64_t head_dim = args_.cache.head_dim;
    const int64_t skip = (rows.begin - tile.first_row) * tile.num_heads;
    const AttentionPartial into{total.max + skip, total.sum + skip, total.values + skip * head_dim};
    isa_.attention_merge(static_cast<int>((rows.end - rows.begin) * tile.num_heads), head_dim,
                         chunk, into);
  }

  void WriteOut(const Tile& tile, const AttentionPartial& total) const {
    const int64_t head_dim = args_.cache.head_dim;
    for (int64_t i = 0; i < tile.num_queries(); ++i) {
      const int64_t row = tile.sequence->first_row + tile.first_row + i / tile.num_heads;
      float* out = args_.out.as<float>() + row * args_.out.stride +
                   (tile.first_head + i % tile.num_heads) * head_dim;
      const float inverse = 1.0f / total.sum[i];
      for (int64_t d = 0; d < head_dim; ++d) out[d] = total.values[i * head_dim + d] * inverse;
    }
  }

  int64_t FirstRow(const Tile& tile) const { return tile.sequence->first_row + tile.first_row; }
  int64_t FirstColumn(const Tile& tile) const { return tile.first_head * args_.cache.head_dim; }
  int64_t RowBytes(const Tile& tile) const {
    return tile.num_heads * args_.cache.head_dim * static_cast<int64_t>(sizeof(float));
  }

  void WholeTile(const Tile& tile, const CacheSpan& next_tile, const ThreadMemory& memory) const {
    PrefetchRows<1>(args_.out.as<float>() + FirstRow(tile) * args_.out.stride + FirstColumn(tile),
                    tile.num_rows, args_.out.stride, RowBytes(tile));
    const AttentionPartial total = PartialAt(memory.total, tile.num_queries());
    const AttentionPartial partial = PartialAt(memory.chunk, tile.num_queries());
    const Range chunks = tile.Chunks();
    for (int64_t c = chunks.begin; c < chunks.end; ++c) {
      const Range rows = tile.RowsOf(c);
      const CacheSpan next = c + 1 < chunks.end ? tile.SpanOf(c + 1) : next_tile;
      // Merged into an empty total, the first chunk would be the total itself.
      if (c == chunks.begin && rows.end - rows.begin == tile.num_rows) {
        ComputeChunk(tile, rows, c, next, memory, total);
        continue;
      }
      if (c == chunks.begin) Clear(tile, total);
      ComputeChunk(tile, rows, c, next, memory, partial);
      Merge(tile, rows, partial, total);
    }
    WriteOut(tile, total);
  }

  void OneChunk(const Tile& tile, int64_t chunk, const CacheSpan& next, const ThreadMemory& memory,
                float* partial) const {
    const Range chunks = tile.Chunks();
    if (chunk < chunks.begin || chunk >= chunks.end) return;
    ComputeChunk(tile, tile.RowsOf(chunk), chunk, next, memory,
                 PartialAt(partial, tile.num_queries()));
  }

  void MergeTile(const Tile& tile, float* partials, const ThreadMemory& memory) const {
    const AttentionPartial total = PartialAt(memory.total, tile.num_queries());
    Clear(tile, total);
    const Range chunks = tile.Chunks();
    for (int64_t c = chunks.begin; c < chunks.end; ++c) {
      Merge(tile, tile.RowsOf(c), PartialAt(partials + c * partial_floats_, tile.num_queries()),
            total);
    }
    WriteOut(tile, total);
  }

  const AttentionArgs& args_;
  const IsaKernels& isa_;
  HeadPieces pieces_;
  int64_t queries_per_tile_ = 0;
  int64_t partial_floats_ = 0;
  const SequencePlan* plans_ = nullptr;
  int64_t num_tiles_ = 0;
  int64_t max_chunks_ = 0;
  bool split_chunks_ = false;
  bool alone_ = false;
  std::atomic<int64_t> next_{0};
  std::atomic<int64_t> next_merge_{0};
};

}  // namespace

void CpuOps::Attention(const AttentionArgs& args) {
  if (!AreF32("Attention", {args.q.dtype, args.out.dtype})) return;
  ThreadPool& pool = team_.pool();
  AttentionCall call(args, team_.isa());
  auto* plans = reinterpret_cast<SequencePlan*>(GetScratch(attention_plan_, call.plan_bytes()));
  if (plans == nullptr) return;
  call.Plan(plans, pool.num_threads());
  const int64_t thread_bytes = call.thread_bytes();
  std::byte* memory =
      GetScratch(attention_, thread_bytes * pool.num_threads() + call.partial_bytes());
  if (memory == nullptr) return;
  auto* partials = reinterpret_cast<float*>(memory + thread_bytes * pool.num_threads());
  const auto floats = [&](int thread_idx) {
    return reinterpret_cast<float*>(memory + thread_bytes * thread_idx);
  };
  if (call.alone()) {
    call.Run(floats(0), partials, [] {});
    return;
  }
  pool.Run(
      [&](int thread_idx) { call.Run(floats(thread_idx), partials, [&] { pool.Barrier(); }); });
}

}  // namespace dray::kernels
