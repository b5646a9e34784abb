// Which rows of a checkpoint's tensor go where in a rank's slot.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/config/model_config.h"
#include "model/families/family_spec.h"
#include "parallel/shard.h"

namespace dray::model {

// A run of a slot's rows and the rows of a tensor that fill it.
struct RowRun {
  int64_t slot_row = 0;
  int64_t source_row = 0;
  int64_t count = 0;
  int64_t source_step = 1;  // from one row of the tensor to the next that is meant
};

// Those rows of the tensor that the rank's slot holds, in ascending order of the slot's rows.
// `slot_rows` are the rows of the whole slot as the rank holds them (SlotSlices::rows).
std::vector<RowRun> RowRuns(const WeightRow& row, const ModelConfig& config,
                            const parallel::Slice& slot_rows);

// The longest beginning of `runs` that fills rows of the slot without a gap.
std::span<const RowRun> FirstWithoutGap(std::span<const RowRun> runs);
// The tensor's rows one by one, in the order of the runs.
std::vector<int64_t> SourceRowsOf(std::span<const RowRun> runs);

}  // namespace dray::model
