// Packs weights into panels of 8-bit or 4-bit integers, for the part of a matrix that one source
// fills.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/cpu/isa_kernels.h"
#include "kernels/cpu/pack/source_reader.h"
#include "kernels/cpu/pack/unfit_weights.h"
#include "kernels/packer.h"

namespace dray::kernels {

class IntegerPacker {
 public:
  IntegerPacker(const IsaKernels& isa, const WeightMatrix& matrix, int64_t first_row,
                const SourceRows& source);

  // Packs the rows of the source that lie in `panels`, and notes weights that cannot be stored.
  // Several threads may pack different panels.
  void Pack(Range panels, UnfitWeights& unfit) const;

 private:
  // Reads columns of up to 16 rows as floats. Columns behind the source's last one become zero.
  struct Tile;
  // Returns the rows of a group of 16 that the source has.
  Range GroupRows(int64_t group) const;
  void Read(Range rows, Range cols, Tile& tile) const;
  // Memory for rows that have one scale each.
  struct RowBuffer;
  // Packs such rows.
  void PackWholeRows(Range rows, RowBuffer& buffer, UnfitWeights& unfit) const;
  bool RoundRow(int64_t row, std::span<const float> values, uint8_t* numbers,
                UnfitWeights& unfit) const;
  // Packs a group of columns, in which each row has a scale.
  void PackColumnGroup(Range rows, int64_t col, UnfitWeights& unfit) const;

  const IsaKernels& isa_;
  PanelLayout layout_;
  std::byte* panels_;
  int64_t first_row_;
  SourceReader reader_;
};

}  // namespace dray::kernels
