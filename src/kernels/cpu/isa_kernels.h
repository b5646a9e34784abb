// The table of functions that one instruction set provides: the inner part of each operation, for
// one thread. The files under isa/ fill one table for each set. CpuOps splits the work among
// threads.
#pragma once

#include <cstdint>

#include "kernels/cpu/pack/panel_layout.h"
#include "kernels/cpu/pack/panel_places.h"
#include "kernels/ops.h"

namespace dray::kernels {

// [begin, end)
struct Range {
  int64_t begin = 0;
  int64_t end = 0;
};

// How rows of a Linear call are cut into equal blocks of at most `max_rows`.
struct RowBlocks {
  int64_t rows = 0;
  int64_t count = 0;

  RowBlocks(int64_t num_rows, int64_t max_rows)
      : rows(num_rows), count((num_rows + max_rows - 1) / max_rows) {}
  int64_t Begin(int64_t block) const { return rows * block / count; }
};

// What is multiplied apart of four neighbouring activations of a row, since sums of 16 bits could not hold
// their products (docs/weight-packing.md). It may be all of them or a part of each.
struct LoudQuad {
  int32_t weights;  // the offset of their step in the panel, in bytes from the first step
  int32_t x;
};

// At most so many of a row, on average over its block of rows: more would take longer than the kernel
// that needs none.
inline constexpr int64_t MostLoudQuads(int64_t padded_cols) { return padded_cols * 3 / 32; }

// The loud quads of all rows. Those of a block of rows stand one after another, from MostLoudQuads times the
// number of its first row on.
struct LoudQuads {
  static constexpr int32_t kTooMany = -1;
  LoudQuad* quads = nullptr;
  // [row]: the end of its quads, counted from the block's first; kTooMany for the first row of a block
  // where none are set apart.
  int32_t* ends = nullptr;

  // Those of the block that begins with this row.
  LoudQuads From(int64_t row, int64_t padded_cols) const {
    if (quads == nullptr) return {};
    return {quads + row * MostLoudQuads(padded_cols), ends + row};
  }
};

// Brings activations into the form that panel_layout.h describes.
struct PackActivationsTask {
  const VectorNorm* norm = nullptr;  // of each row; null: none
  float* normed = nullptr;           // [cols]: scratch for it
  const float* x = nullptr;
  int64_t x_stride = 0;
  int64_t cols = 0;
  int64_t padded_cols = 0;
  RowBlocks blocks{0, 1};
  std::byte* out = nullptr;
  // Only for rounded inputs. `scales` has one scale for each row. `input_sums` has, for each block,
  // [padded_cols / sum_cols, rows of the block] sums of the quantised activations of `sum_cols`
  // padded columns, as the set's kernels read them.
  float* scales = nullptr;
  int32_t* input_sums = nullptr;
  int64_t sum_cols = 0;
  LoudQuads loud;            // null: none are set apart
  float input_scale = 0.0f;  // MatrixSpec's
};

// Reads weights of one row of a source: the numbers times `row_factor` times their `column_factors`, each product
// rounded to f32.
struct ReadTask {
  DType dtype = DType::kF32;  // f32, f16, bf16 or f64
  const void* source = nullptr;
  int64_t count = 0;
  float row_factor = 1.0f;
  const float* column_factors = nullptr;  // [count]; null: ones
  float* out = nullptr;                   // [count]
};

// Squares of a row are added up for so many columns at a time.
inline constexpr int64_t kSquareCols = 64;

// Adds up the squares of weights of some rows.
struct SquaresTask {
  DType dtype = DType::kF32;  // f32, f16, bf16 or f64
  const void* source = nullptr;
  int64_t row_stride = 0;  // in elements
  int64_t num_rows = 0;
  int64_t count = 0;  // of columns
  const float* row_factors =
      nullptr;  // [num_rows]: of each weight, the product is rounded to f32; null: ones
  // Null: not added up. [RoundUp(count, 16)]: gets the squares added, in the order of the rows.
  double* columns = nullptr;
  // Null: not added up. [num_rows]: gets the squares of the weights times their sizes added.
  double* rows = nullptr;
  const double* sizes = nullptr;  // [RoundUp(count, 16)]: of the columns
};

// Rounds weights to unsigned bytes: out = clamp(round(x * inverse_scale) + zero, 0, top).
struct QuantizeTask {
  const float* x = nullptr;
  int64_t count = 0;
  float inverse_scale = 0;
  int zero = 0;
  int top = 0;
  uint8_t* out = nullptr;
};

// Scales and zero points with which weights could be rounded.
struct RoundingCandidates {
  static constexpr int kMost = 16;
  int count = 0;
  // [candidate]
  float scales[kMost];
  float inverses[kMost];  // of the scales
  float zeros[kMost];     // whole numbers from 0 to RoundingTask::top
};

struct RoundingTask {
  const float* x = nullptr;
  int64_t count = 0;
  int top = 0;
  const RoundingCandidates* candidates = nullptr;
};

struct LinearTask {
  const LinearArgs* args = nullptr;
  PanelLayout layout{MatrixSpec{}};
  PanelPlaces places;
  RowBlocks blocks{0, 1};
  const std::byte* activations = nullptr;
  const float* scales = nullptr;
  const int32_t* input_sums = nullptr;  // PackActivationsTask's
  int64_t sums_per_row = 0;
  LoudQuads loud;  // PackActivationsTask's
  // Only for int8 weights without groups whose inputs are not rounded, and three blocks of rows or more:
  // memory of ExpandedBytes, for one panel in the form in which all blocks multiply it.
  std::byte* expanded = nullptr;
};

// Two bytes for each weight of a panel, and four for each channel.
inline int64_t ExpandedBytes(const PanelLayout& layout) {
  return layout.padded_cols * kPanelRows * 2 + kPanelRows * 4 + kReadAhead;
}

// Attention computes queries (pairs of a row and a head) of one sequence that share a key head over
// one chunk of the context at a time. Chunks begin at multiples of kChunkTokens. Each chunk has its
// own maximum, sum and weighted values, and chunks are merged in ascending order. So the arithmetic
// of a query depends neither on the other queries nor on the thread.
inline constexpr int64_t kChunkTokens = 256;
inline constexpr int kMaxQueries = 16;

// The result of some queries over one chunk, or over all chunks so far.
struct AttentionPartial {
  float* max = nullptr;     // [queries]
  float* sum = nullptr;     // [queries]: of exp(score - max)
  float* values = nullptr;  // [queries, head_dim]: sum of exp(score - max) * value
};

// Tokens of one sequence and key head, at most kChunkTokens.
struct CacheSpan {
  const int32_t* block_table = nullptr;
  int64_t kv_head = 0;
  Range tokens;
};

struct AttentionChunkTask {
  const KvLayer* cache = nullptr;
  const int32_t* block_table = nullptr;  // of the sequence
  int64_t kv_head = 0;
  CacheSpan next;  // what this thread reads afterwards and should prefetch; may be empty
  int num_queries = 0;
  const float* q[kMaxQueries];
  // [query]: the positions in this chunk that the query sees are [begin, end), at least one. Both
  // arrays ascend.
  int64_t begin[kMaxQueries];
  int64_t end[kMaxQueries];
  float slope[kMaxQueries];  // ALiBi; zero without it
  // [query]: its position in the sequence, and its head's relative bias for distance zero; null
  // without one.
  int64_t position[kMaxQueries];
  const float* bias[kMaxQueries];
  int64_t bias_reach = 0;  // RelativeBias::reach
  float scale = 1.0f;
  // Scratch, 64-byte aligned. `scores` is [kMaxQueries, kChunkTokens]. `queries` is
  // [kMaxQueries, RoundUp(head_dim, kChunkTokens)], for queries in the form of the cache's format.
  float* scores = nullptr;
  float* queries = nullptr;
};

// Tables are indexed by WeightFormat, or by CacheFormat(dtype) for the cache: f32, f16, bf16, i8.
inline constexpr int kNumWeightFormats = 5;
inline constexpr int kNumCacheFormats = 4;

inline int CacheFormat(DType dtype) {
  return dtype == DType::kF32 ? 0 : dtype == DType::kF16 ? 1 : dtype == DType::kBF16 ? 2 : 3;
}

struct IsaKernels {
  const char* name;
  // [format]: the most rows of a block, and the bytes of one packed activation. Weights with groups
  // have blocks of at most max_grouped_rows.
  int max_linear_rows[kNumWeightFormats];
  int max_grouped_rows;
  // The most columns whose quantised activations are summed together, for weights with groups.
  int64_t max_sum_cols;
  // The fewest rows of a call for which int8 weights without groups want loud quads of their rounded
  // inputs set apart; 0: never.
  int64_t min_rows_to_set_apart;
  int activation_bytes[kNumWeightFormats];

  void (*pack_activations[kNumWeightFormats])(const PackActivationsTask& task, Range blocks);
  // Computes panels of the output. If the weights are gated, `panels` are those of the gates; the
  // panels of the values are computed with them.
  void (*linear[kNumWeightFormats])(const LinearTask& task, Range panels);
  // Converts `count` adjacent numbers. Both types are f32, f16 or bf16, `from` may also be f64.
  void (*convert)(DType from, const void* in, DType to, void* out, int64_t count);
  // Returns the number of largest magnitude, with its sign; zero if `count` is 0; NaN if a number is
  // NaN or infinite.
  float (*peak)(const float* x, int64_t count);
  // Sets `least` and `most` to the least and the largest of the numbers and zero; both to NaN if a
  // number is NaN or infinite.
  void (*extremes)(const float* x, int64_t count, float& least, float& most);
  void (*quantize)(const QuantizeTask& task);
  // For each candidate, the sum of the squares of x - scale * (q - zero), where q is what `quantize` makes
  // of x. All instruction sets find the same sums, to the last bit.
  void (*rounding_errors)(const RoundingTask& task, float* errors);
  void (*read_weights)(const ReadTask& task);
  void (*add_squares)(const SquaresTask& task);
  void (*norm)(const NormArgs& args, Range rows);
  // out[i] = activation(gates_and_values[i]) * gates_and_values[width + i]
  void (*gate)(Activation activation, const float* gates_and_values, int64_t width, float* out);
  // Computes heads [begin, end) of all tokens. Query heads come first, then key heads, value heads.
  void (*rope_and_cache[kNumCacheFormats])(const RopeAndCacheArgs& args, Range heads);
  void (*attention_chunk[kNumCacheFormats])(const AttentionChunkTask& task,
                                            const AttentionPartial& out);
  // Merges the next chunk into `into`, which begins with max = -infinity and zeros.
  void (*attention_merge)(int num_queries, int64_t head_dim, const AttentionPartial& chunk,
                          const AttentionPartial& into);
  // out[i] = activation(x[i]); for tests of the approximations.
  void (*activate)(Activation activation, const float* x, float* out, int64_t count);
  // e^x, erf(x) and tanh(x) as the operations use them; for tests.
  void (*exp)(const float* x, float* out, int64_t count);
  void (*erf)(const float* x, float* out, int64_t count);
  void (*tanh)(const float* x, float* out, int64_t count);
};

}  // namespace dray::kernels
