#include "parallel/shard.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "base/checked_math.h"

namespace dray::parallel {
namespace {

// Features are cut at multiples of the largest of these that gives each rank at least
// kUnitsPerRank units: then the largest share is at most an eighth above the mean. The smallest
// needs no such number.
constexpr std::array<int64_t, 3> kFeatureUnits = {128, 64, 32};
constexpr int64_t kUnitsPerRank = 8;
// Rows of a vocabulary are cut at multiples of this, so that a rank's rows can be whole blocks of a
// packed matrix.
constexpr int64_t kVocabularyUnit = 32;

int64_t FeatureUnit(int64_t size, int64_t world) {
  const auto* const unit =
      std::find_if(kFeatureUnits.begin(), kFeatureUnits.end() - 1,
                   [&](int64_t candidate) { return size >= kUnitsPerRank * candidate * world; });
  return *unit;
}

struct Range {
  int64_t begin = 0;
  int64_t end = 0;
};

// `local_size` positions. The first of them are `range` of the axis, which may be empty.
Slice Padded(int64_t global_size, int64_t local_size, Range range) {
  Slice slice = {global_size, local_size, {}};
  if (range.begin < range.end) slice.pieces.push_back({0, range.begin, range.end - range.begin});
  return slice;
}

// Every rank has `share` positions, the last ranks perhaps padding.
Slice CutAt(int64_t size, int64_t share, Rank rank) {
  const int64_t begin = rank.index * share;
  return Padded(size, share, {begin, std::min(begin + share, size)});
}

Slice CutEvenly(int64_t size, Rank rank) {
  return CutAt(size, DivideRoundUp(size, rank.world), rank);
}

// More ranks than key/value heads: those of one head share its `group` query heads.
HeadSlices CutSharedHeads(int64_t num_kv_heads, int64_t group, Rank rank) {
  const int64_t kv_head = rank.index * num_kv_heads / rank.world;
  const int64_t first_rank = DivideRoundUp(kv_head * rank.world, num_kv_heads);
  // Some key/value heads may have one rank more than this; its queries are padding then.
  const int64_t share = DivideRoundUp(group, rank.world / num_kv_heads);
  const int64_t begin = kv_head * group + (rank.index - first_rank) * share;
  const int64_t end = std::min(begin + share, (kv_head + 1) * group);
  return {.query = Padded(num_kv_heads * group, share, {begin, end}),
          .key_value = Padded(num_kv_heads, 1, {kv_head, kv_head + 1})};
}

}  // namespace

Slice Whole(int64_t size) { return Padded(size, size, {0, size}); }

Slice WholeOnFirst(int64_t size, Rank rank) {
  return Padded(size, size, {0, rank.index == 0 ? size : 0});
}

Slice CutFeatures(int64_t size, Rank rank) {
  const int64_t unit = FeatureUnit(size, rank.world);
  const int64_t units = DivideRoundUp(size, unit);
  const auto cut_point = [&](int64_t index) {
    return std::min(size, units * index / rank.world * unit);
  };
  const Range range = {cut_point(rank.index), cut_point(rank.index + 1)};
  return Padded(size, range.begin < range.end ? range.end - range.begin : unit, range);
}

Slice CutVocabulary(int64_t size, Rank rank) {
  if (rank.world == 1) return Whole(size);
  return CutAt(size, RoundUp(DivideRoundUp(size, rank.world), kVocabularyUnit), rank);
}

LayerRange CutLayers(int64_t num_layers, Stage stage) {
  const int64_t each = num_layers / stage.count, more = num_layers % stage.count;
  // The stages [first_longer, first_longer + more) have an additional layer: they end before the
  // last stage if there are others.
  const int64_t first_longer = std::max<int64_t>(0, stage.count - 1 - more);
  const auto begin_of = [&](int64_t index) {
    return index * each + std::clamp<int64_t>(index - first_longer, 0, more);
  };
  return {begin_of(stage.index), begin_of(stage.index + 1)};
}

HeadSlices CutHeads(int64_t num_heads, int64_t num_kv_heads, Rank rank) {
  DRAY_CHECK(num_kv_heads > 0 && num_heads % num_kv_heads == 0);
  const int64_t group = num_heads / num_kv_heads;
  if (rank.world > num_kv_heads) return CutSharedHeads(num_kv_heads, group, rank);
  const Slice key_value = CutEvenly(num_kv_heads, rank);
  return {.query = Widen(key_value, group), .key_value = key_value};
}

Slice Widen(const Slice& slice, int64_t width) {
  Slice wide = {slice.global_size * width, slice.local_size * width, {}};
  for (const Piece& piece : slice.pieces) {
    wide.pieces.push_back({piece.local * width, piece.global * width, piece.count * width});
  }
  return wide;
}

Slice Join(std::span<const Slice> slices) {
  Slice joined;
  for (const Slice& slice : slices) {
    for (const Piece& piece : slice.pieces) {
      const int64_t local = joined.local_size + piece.local;
      const int64_t global = joined.global_size + piece.global;
      Piece* last = joined.pieces.empty() ? nullptr : &joined.pieces.back();
      if (last != nullptr && last->local + last->count == local &&
          last->global + last->count == global) {
        last->count += piece.count;
      } else {
        joined.pieces.push_back({local, global, piece.count});
      }
    }
    joined.local_size += slice.local_size;
    joined.global_size += slice.global_size;
  }
  return joined;
}

}  // namespace dray::parallel
