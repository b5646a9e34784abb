// Weights into panels of 8-bit or 4-bit integers, for the part of a matrix that one source fills.
#pragma once

#include "kernels/cpu/isa_kernels.h"
#include "kernels/packer.h"

namespace dray::kernels {

class IntegerPacker {
 public:
  IntegerPacker(const IsaKernels& isa, const WeightMatrix& matrix, int64_t first_row,
                const SourceRows& source);

  // Packs what the source holds of `panels`; parts may be packed at once by several threads.
  void Pack(Range panels) const;

 private:
  // Some columns of up to 16 rows, as floats; columns that the source lacks are zero.
  struct Tile;
  // The rows of one group of 16 that the source has.
  Range GroupRows(int64_t group) const;
  void Read(Range rows, Range cols, Tile& tile) const;
  // A scale for each row.
  void PackWholeRows(Range rows) const;
  // A scale for each row of this group of columns.
  void PackColumnGroup(Range rows, int64_t col) const;

  const IsaKernels& isa_;
  PanelLayout layout_;
  std::byte* panels_;
  int64_t first_row_;
  SourceRows source_;
  int64_t source_bytes_;  // of one element
};

}  // namespace dray::kernels
