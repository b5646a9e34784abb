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
  // Memory for rows on their way.
  struct RowBuffer;
  // Returns the rows of a group of 16 that the source has.
  Range GroupRows(int64_t group) const;
  // Packs such rows.
  void PackGroupOfRows(Range rows, RowBuffer& buffer, UnfitWeights& unfit) const;
  bool RoundRow(int64_t row, std::span<const float> values, uint8_t* numbers,
                UnfitWeights& unfit) const;
  bool RoundGroups(int64_t row, std::span<const float> values, uint8_t* numbers,
                   UnfitWeights& unfit) const;
  void StoreRows(Range rows, const RowBuffer& buffer) const;

  const IsaKernels& isa_;
  PanelLayout layout_;
  std::byte* panels_;
  int64_t first_row_;
  SourceReader reader_;
};

}  // namespace dray::kernels
