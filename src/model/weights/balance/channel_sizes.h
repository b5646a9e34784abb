// How large the channels of a model are, as its weights tell: measured on whole matrices, so that every
// rank finds the same.
#pragma once

#include <span>
#include <vector>

#include "kernels/packer.h"
#include "model/weights/load_plan.h"

namespace dray::model {

// Sums of squares of the weights of a slot, over the whole slot. A row of integers has its own scale, so
// that each row counts alike, however large it is, where columns are compared.
struct SlotSquares {
  std::vector<double> rows;  // [rows]: of each row, weights multiplied by the sizes of their inputs
  std::vector<double> columns;  // [cols]: of each column, squares divided by the sums of their rows

  // Whether the slot was measured.
  explicit operator bool() const { return !columns.empty(); }
};

// Asks the kernel to read the slot's matrix from the disk soon, for MeasureSlot.
void PrefetchSlot(const PlannedSlot& slot);

// Reads the slot's matrix with the threads of the packer's backend. `input_sizes` is [cols]. Measures
// nothing if a part of the matrix is stored as integers.
SlotSquares MeasureSlot(const PlannedSlot& slot, const ModelConfig& config,
                        std::span<const float> input_sizes, kernels::Packer& packer);

}  // namespace dray::model
