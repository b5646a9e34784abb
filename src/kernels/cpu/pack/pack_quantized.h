// Integers of a checkpoint into panels without rounding them again.
#pragma once

#include "kernels/cpu/isa_kernels.h"
#include "kernels/packer.h"

namespace dray::kernels {

class QuantizedPacker {
 public:
  // `matrix` can keep the integers of `source` (packer.h, KeepsIntegers).
  QuantizedPacker(const WeightMatrix& matrix, int64_t first_row, const QuantizedRows& source);

  // Packs what the source holds of `panels`; parts may be packed at once by several threads.
  void Pack(Range panels) const;

 private:
  void PackRowScales(Range rows) const;
  // The numbers of some columns: one group, or a part of rows that have one scale each.
  void PackColumns(Range rows, Range cols) const;
  // Stores what opens a group; false if the group is one number, which is then its scale.
  bool StoreGroupHeader(int64_t row, int64_t col) const;

  PanelLayout layout_;
  std::byte* panels_;
  int64_t first_row_;
  QuantizedRows source_;
};

}  // namespace dray::kernels
