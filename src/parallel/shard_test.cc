// Cut points of axes: the ranks' parts cover an axis without overlap, and agree where they must.
#include "parallel/shard.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace dray::parallel {
namespace {

constexpr int64_t kMaxWorld = 9;

std::vector<int64_t> Sizes(const std::vector<Slice>& slices) {
  std::vector<int64_t> sizes;
  sizes.reserve(slices.size());
  for (const Slice& slice : slices) sizes.push_back(slice.local_size);
  return sizes;
}

template <typename Cut>
std::vector<Slice> AllRanks(int64_t world, const Cut& cut) {
  std::vector<Slice> slices;
  for (int64_t index = 0; index < world; ++index) slices.push_back(cut(Rank{index, world}));
  return slices;
}

// Pieces lie in both axes in ascending order, and could not be fewer.
void ExpectSound(const Slice& slice) {
  int64_t local = 0;
  int64_t global = 0;
  for (const Piece& piece : slice.pieces) {
    EXPECT_GE(piece.local, local);
    EXPECT_GE(piece.global, global);
    EXPECT_GT(piece.count, 0);
    EXPECT_TRUE(local == 0 || piece.local > local || piece.global > global);
    local = piece.local + piece.count;
    global = piece.global + piece.count;
  }
  EXPECT_LE(local, slice.local_size);
  EXPECT_LE(global, slice.global_size);
}

// How many ranks hold each position of the axis.
std::vector<int> Holders(const std::vector<Slice>& slices) {
  std::vector<int> holders(static_cast<size_t>(slices.front().global_size));
  for (const Slice& slice : slices) {
    ExpectSound(slice);
    for (const Piece& piece : slice.pieces) {
      for (int64_t i = 0; i < piece.count; ++i) ++holders.at(static_cast<size_t>(piece.global + i));
    }
  }
  return holders;
}

void ExpectEachOnce(const std::vector<Slice>& slices) {
  const std::vector<int> holders = Holders(slices);
  EXPECT_EQ(std::count(holders.begin(), holders.end(), 1),
            static_cast<std::ptrdiff_t>(holders.size()));
}

TEST(ShardTest, OneRankHoldsEverything) {
  for (const int64_t size : {1, 7, 93, 4096, 11008}) {
    EXPECT_EQ(CutFeatures(size, {}), Whole(size));
    EXPECT_EQ(CutVocabulary(size, {}), Whole(size));
    EXPECT_EQ(WholeOnFirst(size, {}), Whole(size));
  }
  EXPECT_EQ(CutHeads(6, 2, {}).query, Whole(6));
  EXPECT_EQ(CutHeads(6, 2, {}).key_value, Whole(2));
}

TEST(ShardTest, FeaturesAndVocabulariesAreCoveredOnce) {
  for (const int64_t size : {1, 31, 32, 93, 96, 128, 250, 1000, 5632, 11008, 13824}) {
    for (int64_t world = 1; world <= kMaxWorld; ++world) {
      SCOPED_TRACE(testing::Message() << size << " over " << world);
      ExpectEachOnce(AllRanks(world, [&](Rank rank) { return CutFeatures(size, rank); }));
      const auto rows = AllRanks(world, [&](Rank rank) { return CutVocabulary(size, rank); });
      ExpectEachOnce(rows);
      for (const Slice& slice : rows) {
        EXPECT_EQ(slice.local_size, rows[0].local_size);
        EXPECT_TRUE(world == 1 || slice.local_size % 32 == 0);
      }
    }
  }
}

TEST(ShardTest, FeaturesAreCutBetweenGroups) {
  for (const int64_t size : {64, 93, 1000, 5632, 11008, 13824, 28672}) {
    for (int64_t world = 1; world <= kMaxWorld; ++world) {
      for (const Slice& slice :
           AllRanks(world, [&](Rank rank) { return CutFeatures(size, rank); })) {
        if (slice.pieces.empty()) continue;
        const int64_t unit = size >= 1024 * world ? 128 : 32;
        EXPECT_EQ(slice.pieces[0].global % unit, 0) << size << " over " << world;
        EXPECT_EQ(slice.local_size, slice.pieces[0].count);
        if (size < 1024 * world) continue;
        // At most an eighth above the mean.
        EXPECT_LE(slice.local_size * world * 8, size * 9 + 128) << size << " over " << world;
      }
    }
  }
}

// The examples of the header.
TEST(ShardTest, Examples) {
  const auto features = [](Rank rank) { return CutFeatures(11008, rank); };
  EXPECT_EQ(Sizes(AllRanks(2, features)), (std::vector<int64_t>{5504, 5504}));
  EXPECT_EQ(Sizes(AllRanks(3, features)), (std::vector<int64_t>{3584, 3712, 3712}));
  EXPECT_EQ(Sizes(AllRanks(4, features)), (std::vector<int64_t>{2688, 2816, 2688, 2816}));

  for (int64_t index = 0; index < 4; ++index) {
    const HeadSlices heads = CutHeads(8, 2, {index, 4});
    EXPECT_EQ(heads.query, (Slice{8, 2, {{0, 2 * index, 2}}}));
    EXPECT_EQ(heads.key_value, (Slice{2, 1, {{0, index / 2, 1}}}));
  }
  EXPECT_EQ(CutHeads(3, 3, {0, 2}).query, (Slice{3, 2, {{0, 0, 2}}}));
  EXPECT_EQ(CutHeads(3, 3, {1, 2}).query, (Slice{3, 2, {{0, 2, 1}}}));
}

TEST(ShardTest, StagesHaveAllLayersInTheirOrder) {
  for (int64_t count = 1; count <= 9; ++count) {
    for (int64_t num_layers = count; num_layers <= 40; ++num_layers) {
      int64_t end = 0;
      for (int64_t index = 0; index < count; ++index) {
        const LayerRange layers = CutLayers(num_layers, {index, count});
        EXPECT_EQ(layers.begin, end);
        end = layers.end;
        EXPECT_GE(layers.size(), num_layers / count);
        EXPECT_LE(layers.size(), (num_layers + count - 1) / count);
      }
      EXPECT_EQ(end, num_layers);
      const int64_t last = CutLayers(num_layers, {count - 1, count}).size();
      EXPECT_EQ(last, num_layers / count) << "the last stage has the head, too";
    }
  }
  EXPECT_EQ(CutLayers(7, {1, 3}), (LayerRange{2, 5}));
  EXPECT_EQ(CutLayers(8, {1, 3}), (LayerRange{3, 6}));
}

TEST(ShardTest, RanksWithoutFeaturesHavePadding) {
  EXPECT_EQ(CutFeatures(40, {0, 4}), (Slice{40, 32, {}}));
  EXPECT_EQ(CutFeatures(40, {1, 4}), (Slice{40, 32, {{0, 0, 32}}}));
  EXPECT_EQ(CutFeatures(40, {3, 4}), (Slice{40, 8, {{0, 32, 8}}}));
}

// Each query head finds the key/value head that it reads at the place where attention looks.
void ExpectHeads(int64_t num_heads, int64_t num_kv_heads, int64_t world) {
  SCOPED_TRACE(testing::Message() << num_heads << " / " << num_kv_heads << " over " << world);
  std::vector<Slice> queries, key_values;
  for (int64_t index = 0; index < world; ++index) {
    const auto [query, key_value] = CutHeads(num_heads, num_kv_heads, {index, world});
    ASSERT_EQ(query.local_size % key_value.local_size, 0);
    const int64_t local_group = query.local_size / key_value.local_size;
    for (const Piece& piece : query.pieces) {
      for (int64_t i = 0; i < piece.count; ++i) {
        const int64_t wanted = (piece.global + i) / (num_heads / num_kv_heads);
        const int64_t place = (piece.local + i) / local_group;
        ASSERT_EQ(key_value.pieces.size(), 1u);
        EXPECT_EQ(key_value.pieces[0].global + place - key_value.pieces[0].local, wanted);
        EXPECT_LT(place, key_value.pieces[0].count);
      }
    }
    queries.push_back(query);
    key_values.push_back(key_value);
  }
  ExpectEachOnce(queries);
  const std::vector<int> holders = Holders(key_values);
  const auto [fewest, most] = std::minmax_element(holders.begin(), holders.end());
  EXPECT_GE(*fewest, 1);
  EXPECT_LE(*most, world > num_kv_heads ? (world + num_kv_heads - 1) / num_kv_heads : 1);
  for (const Slice& slice : queries) EXPECT_EQ(slice.local_size, queries[0].local_size);
  for (const Slice& slice : key_values) EXPECT_EQ(slice.local_size, key_values[0].local_size);
}

TEST(ShardTest, QueryHeadsFindTheirKeysAndValues) {
  for (int64_t num_kv_heads = 1; num_kv_heads <= 8; ++num_kv_heads) {
    for (const int64_t group : {1, 2, 3, 7, 8}) {
      for (int64_t world = 1; world <= kMaxWorld; ++world) {
        ExpectHeads(num_kv_heads * group, num_kv_heads, world);
      }
    }
  }
}

TEST(ShardTest, ABiasAfterASumIsOnOneRank) {
  const auto slices = AllRanks(3, [](Rank rank) { return WholeOnFirst(5, rank); });
  EXPECT_EQ(slices[0], Whole(5));
  EXPECT_EQ(slices[1], (Slice{5, 5, {}}));
  ExpectEachOnce(slices);
}

TEST(ShardTest, AxesAreWidenedAndJoined) {
  const HeadSlices heads = CutHeads(3, 3, {1, 2});
  EXPECT_EQ(Widen(heads.query, 20), (Slice{60, 40, {{0, 40, 20}}}));
  const Slice parts[] = {heads.query, heads.key_value, heads.key_value};
  EXPECT_EQ(Join(parts), (Slice{9, 6, {{0, 2, 1}, {2, 5, 1}, {4, 8, 1}}}));
  const Slice whole[] = {Whole(4), Whole(2), Whole(2)};
  EXPECT_EQ(Join(whole), Whole(8));
}

}  // namespace
}  // namespace dray::parallel
