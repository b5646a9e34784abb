// Packs the integers of a checkpoint into panels without rounding them again.
#pragma once

#include "kernels/cpu/isa_kernels.h"
#include "kernels/cpu/pack/unfit_weights.h"
#include "kernels/packer.h"

namespace dray::kernels {

class QuantizedPacker {
 public:
  // `matrix` can keep the integers of `source` (packer.h, KeepsIntegers).
  QuantizedPacker(const WeightMatrix& matrix, int64_t first_row, const QuantizedRows& source);

  // Packs the rows of the source that lie in `panels`, and notes scales that cannot be stored.
  // Several threads may pack different panels.
  void Pack(Range panels, UnfitWeights& unfit) const;

 private:
  void PackRowScales(Range rows, UnfitWeights& unfit) const;
  // Packs the numbers of `cols`: one group, or a part of rows that have one scale each.
  void PackColumns(Range rows, Range cols, UnfitWeights& unfit) const;
  struct Group;
  // The header of the group at (row, col) of the matrix, and whether all its numbers must be 1.
  Group GroupAt(int64_t row, int64_t col) const;

  PanelLayout layout_;
  std::byte* panels_;
  int64_t first_row_;
  QuantizedRows source_;
};

}  // namespace dray::kernels
