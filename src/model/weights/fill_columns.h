// What every source of weights does with a slot's matrix: it fills the columns that a rank holds, and
// puts the matrix where it belongs.
#pragma once

#include <cstdint>
#include <functional>

#include "base/status.h"
#include "checkpoint/integers/integer_tensor.h"
#include "kernels/packer.h"
#include "model/weights/loader.h"
#include "model/weights/slot_slices.h"
#include "model/weights/weights.h"

namespace dray::model {

// Packs columns of the slot into a matrix that has these columns and the rank's rows.
using PackColumns =
    std::function<Status(kernels::WeightMatrix& matrix, checkpoint::ColumnRange columns)>;

// The rank's matrix of a slot. `spec` is the form of the rank's rows with all columns of the slot.
//
// Integers and their scales are those of the whole slot at every number of ranks. So where the rank has
// some of the columns, and a scale belongs to more than these, all columns are packed and the rank's are
// taken from them. It takes the memory of the whole slot until that is done.
Result<kernels::WeightMatrix> FillColumns(kernels::Packer& packer, const kernels::MatrixSpec& spec,
                                          const SlotSlices& slices, const PackColumns& pack);

// The form of the rank's matrix of a slot, of which `all_columns` is the form of the rank's rows with all
// columns.
kernels::MatrixSpec RankSpec(const kernels::MatrixSpec& all_columns, const SlotSlices& slices);

// The rank's part of a whole matrix, which was packed with the rows and columns of the slot. It is the
// matrix that FillColumns makes for the rank, to the last bit.
Result<kernels::WeightMatrix> TakeRankPart(kernels::Packer& packer,
                                           const kernels::WeightMatrix& whole,
                                           const SlotSlices& slices);

// Gives the weight to options.take, or else puts it into `weights`.
Status KeepWeight(const LoadOptions& options, const WeightPlace& place, Weight weight,
                  Weights& weights);

}  // namespace dray::model
