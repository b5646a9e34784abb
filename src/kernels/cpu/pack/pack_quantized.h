// Packs the integers of a checkpoint into panels without rounding them again.
#pragma once

#include "kernels/cpu/isa_kernels.h"
#include "kernels/packer.h"

namespace dray::kernels {

class QuantizedPacker {
 public:
  // `matrix` can keep the integers of `source` (packer.h, KeepsIntegers).
  QuantizedPacker(const WeightMatrix& matrix, int64_t first_row, const QuantizedRows& source);

  // Packs the rows of the source that lie in `panels`. Several threads may pack different panels.
  void Pack(Range panels) const;

 private:
  void PackRowScales(Range rows) const;
  // Packs the numbers of `cols`: one group, or a part of rows that have one scale each.
  void PackColumns(Range rows, Range cols) const;
  // Stores the header of a group. Returns false if all weights of the group have the same value:
  // the header's scale is then that value, and all numbers must be 1.
  bool StoreGroupHeader(int64_t row, int64_t col) const;

  PanelLayout layout_;
  std::byte* panels_;
  int64_t first_row_;
  QuantizedRows source_;
};

}  // namespace dray::kernels
