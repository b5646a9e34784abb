#include "model/weights/slot_slices.h"

#include <vector>

#include "base/check.h"

namespace dray::model {
namespace {

using parallel::Rank;
using parallel::Slice;

// What lies one behind the other in the rows of the slot.
std::vector<Extent> SectionsOf(const WeightRow& row, const StackConfig& stack) {
  if (row.slot == Slot::kQkv || row.slot == Slot::kQkvBias) {
    return {Extent::kQuery, Extent::kKv, Extent::kKv};
  }
  if (row.slot == Slot::kCrossKeyValue) return {Extent::kKv, Extent::kKv};
  const bool is_ffn_in = row.slot == Slot::kFfnIn || row.slot == Slot::kFfnInBias;
  if (is_ffn_in && stack.gated) return {Extent::kFfn, Extent::kFfn};
  return {row.rows};
}

// An axis that the ranks divide among themselves.
Slice Cut(Extent extent, const ModelConfig& config, Rank rank) {
  const StackConfig& stack = config.stack;
  switch (extent) {
    case Extent::kQuery:
      return Widen(CutHeads(stack.num_heads, stack.num_kv_heads, rank).query, stack.head_dim);
    case Extent::kKv:
      return Widen(CutHeads(stack.num_heads, stack.num_kv_heads, rank).key_value, stack.head_dim);
    case Extent::kFfn:
      return parallel::CutFeatures(stack.ffn, rank);
    case Extent::kVocab:
      return parallel::CutVocabulary(config.vocab_size, rank);
    default:
      DRAY_CHECK(false);  // no table names another
      return {};
  }
}

Slice RowsOf(Extent extent, ShardRule rule, const ModelConfig& config, Rank rank) {
  switch (rule) {
    case ShardRule::kColumnByHead:
    case ShardRule::kColumn:
    case ShardRule::kVocab:
      return Cut(extent, config, rank);
    case ShardRule::kOnce:
      return parallel::WholeOnFirst(ExtentOf(extent, config), rank);
    case ShardRule::kReplicate:
    case ShardRule::kRow:
      break;
  }
  return parallel::Whole(ExtentOf(extent, config));
}

Slice ColsOf(Extent extent, ShardRule rule, const ModelConfig& config, Rank rank) {
  if (rule != ShardRule::kRow) return parallel::Whole(ExtentOf(extent, config));
  Slice cols = Cut(extent, config, rank);
  DRAY_CHECK(cols.pieces.size() <= 1);
  if (!cols.pieces.empty()) {
    DRAY_CHECK(cols.pieces[0].local == 0);
    cols.local_size = cols.pieces[0].count;
  }
  return cols;
}

}  // namespace

bool StageHas(Slot slot, int64_t layer, const ModelConfig& config, parallel::Stage stage) {
  if (slot >= kFirstLayerSlot) {
    const parallel::LayerRange layers = parallel::CutLayers(config.stack.num_layers, stage);
    return layer >= layers.begin && layer < layers.end;
  }
  switch (slot) {
    case Slot::kTokenEmbedding:
      return stage.is_first() || (stage.is_last() && config.tied_head);
    case Slot::kRelativeBias:
      return true;
    case Slot::kProjectOut:
    case Slot::kHead:
    case Slot::kHeadBias:
    case Slot::kClassifierDense:
    case Slot::kClassifierDenseBias:
    case Slot::kClassifierOut:
    case Slot::kClassifierOutBias:
    case Slot::kFinalNormWeight:
    case Slot::kFinalNormBias:
      return stage.is_last();
    default:
      return stage.is_first();
  }
}

checkpoint::ColumnRange SlotSlices::stored_columns() const {
  if (cols.pieces.empty()) return {};
  return {cols.pieces[0].global, cols.pieces[0].count};
}

SlotSlices SlicesOf(const WeightRow& row, const ModelConfig& config, Rank rank) {
  if (row.transform == Transform::kFlatten) {
    const int64_t elements = ExtentOf(row.rows, config) * ExtentOf(row.cols, config);
    return {.rows = parallel::Whole(elements), .cols = parallel::Whole(1)};
  }
  std::vector<Slice> sections;
  for (const Extent section : SectionsOf(row, config.stack)) {
    sections.push_back(RowsOf(section, row.shard, config, rank));
  }
  return {.rows = Join(sections), .cols = ColsOf(row.cols, row.shard, config, rank)};
}

}  // namespace dray::model
