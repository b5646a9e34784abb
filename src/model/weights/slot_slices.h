// What a rank holds of a slot. Sizes of weights are two questions: ExtentOf (family_spec.h) says
// what the checkpoint has, and SlicesOf what a rank's slot has, and which part of the checkpoint
// that is.
#pragma once

#include "checkpoint/integers/integer_tensor.h"
#include "model/config/model_config.h"
#include "model/families/family_spec.h"
#include "parallel/shard.h"

namespace dray::model {

struct SlotSlices {
  parallel::Slice rows;  // of a vector: its elements
  // At most one piece, and no padding beside it: a matrix has no columns for padding, which is
  // always behind the last head, so that nothing reads what attention computes for it. Without any
  // piece the rank's matrix has padding only, and is zero. Of a vector: one column.
  parallel::Slice cols;

  // The piece of `cols`; none: zero columns.
  checkpoint::ColumnRange stored_columns() const;
};

// Whether the ranks of a stage have the slot. The first stage has what makes the residual stream of
// tokens, the last one what makes logits of it; a token table that is also the head is at both, and
// what all layers share at every stage.
// `layer` is one of the whole model, kNoLayer for slots before kFirstLayerSlot.
bool StageHas(Slot slot, int64_t layer, const ModelConfig& config, parallel::Stage stage);

// Of the whole slot that `row` fills a part of.
SlotSlices SlicesOf(const WeightRow& row, const ModelConfig& config, parallel::Rank rank);

}  // namespace dray::model
