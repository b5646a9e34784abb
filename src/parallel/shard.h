// Which part of a model each rank of a tensor-parallel group holds.
//
// A rank computes with some of the attention heads, some of the features inside the feed-forward
// and some rows of the vocabulary. All other axes are whole at every rank. The matrix in front of
// an axis and the matrix behind it are cut by the same function, so their cut points agree: the
// rows of gate and up are cut where the columns of down are, and the rows of queries, keys and
// values where the columns of attention's output are.
//
// Heads: every rank has the same number of them. Rank r has key/value heads [r * n, (r + 1) * n),
// n = ceil(num_kv_heads / world), and the query heads that read them. Heads beyond the model's
// are padding. If there are more ranks than key/value heads, each rank has one, several ranks hold
// the same one, and these share the query heads that read it:
//
//   8 query heads, 2 key/value heads, 4 ranks: queries 0..1 | 2..3 | 4..5 | 6..7
//                                              keys    0    | 0    | 1    | 1
//   3 query heads, 3 key/value heads, 2 ranks: 0..1 | 2, padding
//
// Features: cut at multiples of 128, or of 64 or 32 where the shares would differ too much. Integer
// weights have one scale for a group of columns, mostly 16 to 128 of them. Such a cut falls between
// two groups, or divides a group into smaller ones that the kernels have too, so no number is
// rounded again. A larger block of a file format, such as the 256 weights of GGUF's Q4_K, may lie
// on both sides of a cut. Both ranks read such a block, and each takes its own columns from it.
// Ranks may have different numbers of features. 11008 features are 86 units of 128, or 43 blocks
// of 256:
//
//   2 ranks: 5504 | 5504                  the cut is in the middle of block 21
//   3 ranks: 3584 | 3712 | 3712
//   4 ranks: 2688 | 2816 | 2688 | 2816
//
// Vocabulary: every rank has the same number of rows, a multiple of 32; those beyond the vocabulary are
// padding.
//
// A model may also be divided by its layers, over the stages of a pipeline. Each stage then is a group
// of ranks that divide its layers as above.
//
// Weights of padding are zero. Padding never changes a result: heads that are padding have zero
// queries, keys and values, and no columns behind them. A row of logits that is put together from
// all ranks is longer than the vocabulary where there is padding; whoever puts it together cuts it
// to the vocabulary's size, so that padding is never a candidate.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace dray::parallel {

// One of the `world` members of a group that computes one model together.
struct Rank {
  int64_t index = 0;  // [0, world)
  int64_t world = 1;
};

// One of the `count` stages that compute a model's layers one after the other.
struct Stage {
  int64_t index = 0;  // [0, count)
  int64_t count = 1;

  bool is_first() const { return index == 0; }
  bool is_last() const { return index == count - 1; }
};

// The layers [begin, end) of a model.
struct LayerRange {
  int64_t begin = 0;
  int64_t end = 0;

  int64_t size() const { return end - begin; }
  bool operator==(const LayerRange&) const = default;
};

// The layers of a stage. If they do not divide evenly, the stages just before the last one have one
// more: the last one also computes the head.
LayerRange CutLayers(int64_t num_layers, Stage stage);

// Positions [global, global + count) of a whole axis. A rank holds them at [local, local + count).
struct Piece {
  int64_t local = 0;
  int64_t global = 0;
  int64_t count = 0;

  bool operator==(const Piece&) const = default;
};

// What a rank holds of an axis. Local positions that are in no piece are padding.
struct Slice {
  int64_t global_size = 0;  // of the whole axis, as a checkpoint has it
  int64_t local_size = 0;   // of what the rank holds
  // In ascending order, both of local and of global positions. No two pieces could be one.
  std::vector<Piece> pieces;

  bool operator==(const Slice&) const = default;
};

// All of an axis.
Slice Whole(int64_t size);
// All of an axis at rank 0, and as much padding at the others: for a bias that is added to a sum
// over the ranks.
Slice WholeOnFirst(int64_t size, Rank rank);
// Features inside a feed-forward. A rank for which no unit is left has a unit of padding.
Slice CutFeatures(int64_t size, Rank rank);
Slice CutVocabulary(int64_t size, Rank rank);

struct HeadSlices {
  Slice query;
  Slice key_value;
};
// In heads. Query head q reads key/value head q / (num_heads / num_kv_heads), in the model and
// among the heads of a rank. `num_kv_heads` divides `num_heads`.
HeadSlices CutHeads(int64_t num_heads, int64_t num_kv_heads, Rank rank);

// The same with `width` positions for each one: from heads to rows.
Slice Widen(const Slice& slice, int64_t width);
// Axes one behind the other: queries, keys and values as rows of one matrix.
Slice Join(std::span<const Slice> slices);

}  // namespace dray::parallel
