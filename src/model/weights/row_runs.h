// Which rows of a checkpoint's tensor go where in the slot that it fills, whole or in part.
#pragma once

#include <cstdint>
#include <vector>

#include "model/config/model_config.h"
#include "model/families/family_spec.h"

namespace dray::model {

// A run of a slot's rows and the rows of a tensor that fill it.
struct RowRun {
  int64_t slot_row = 0;
  int64_t source_row = 0;
  int64_t count = 0;
  int64_t source_step = 1;  // from one row of the tensor to the next that is meant
};

// All rows of the tensor, in the order of the slot's, which they fill without a gap.
std::vector<RowRun> RowRuns(const WeightRow& row, const ModelConfig& config);

// The same as a list: element i is the tensor's row that goes to row RowRuns(...).front().slot_row
// + i of the slot.
std::vector<int64_t> SourceRowsOf(const std::vector<RowRun>& runs);

}  // namespace dray::model
