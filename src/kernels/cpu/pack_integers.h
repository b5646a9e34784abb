// Weights into panels of 8-bit or 4-bit integers, for the part of a matrix that one source fills.
#pragma once

#include "kernels/cpu/isa_kernels.h"

namespace dray::kernels {

class IntegerPacker {
 public:
  IntegerPacker(const IsaKernels& isa, const WeightMatrix& matrix, int64_t first_row,
                const SourceRows& source);

  // Panels that the source touches.
  Range Panels() const;
  // Packs what the source holds of `panels`; parts may be packed at once by several threads.
  void Pack(Range panels) const;

 private:
  // 64 columns of some rows, as floats; columns that the source lacks are zero.
  struct Tile;
  // The rows of one group of 16 that the source has.
  Range GroupRows(int64_t group) const;
  void Read(Range rows, int64_t col, Tile& tile) const;
  void PackInt8Group(Range rows) const;
  void PackInt4Tile(Range rows, int64_t col) const;
  void StoreWords(Range rows, int64_t col, const Tile& tile, int64_t words_per_row) const;

  const IsaKernels& isa_;
  PanelLayout layout_;
  std::byte* panels_;
  int64_t first_row_;
  SourceRows source_;
  int64_t source_bytes_;  // of one element
};

}  // namespace dray::kernels
