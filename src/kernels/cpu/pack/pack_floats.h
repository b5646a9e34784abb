// Packs weights into panels of floats, for the part of a matrix that one source fills.
#pragma once

#include "kernels/cpu/isa_kernels.h"
#include "kernels/cpu/pack/source_reader.h"
#include "kernels/packer.h"

namespace dray::kernels {

// The number format of a panel's elements, for formats without scales.
DType PanelType(WeightFormat format);

// For f32, f16 and bf16. IntegerPacker (pack_integers.h) packs int8 and int4.
class FloatPacker {
 public:
  FloatPacker(const IsaKernels& isa, const WeightMatrix& matrix, int64_t first_row,
              const SourceRows& source);

  // Packs the rows of the source that lie in `panels`. Several threads may pack different panels.
  void Pack(Range panels) const;

 private:
  void PackGroup(int64_t group, Range cols) const;
  // Pack sixteen rows from `row` on, and a tile's columns.
  void PackTile(int64_t row, Range cols) const;
  void PackTileByColumns(int64_t row, Range cols) const;
  void StageProducts(int64_t row, Range cols, std::byte* tile) const;
  void StageRows(int64_t row, Range cols, std::byte* tile) const;
  void PackElements(Range rows, Range cols) const;

  const std::byte* Source(int64_t row, int64_t col) const;
  std::byte* Vector(int64_t row, int64_t col) const {
    return panels_ + layout_.VectorOffset(row, col);
  }
  Range Rows() const { return {first_row_, first_row_ + source_.rows}; }

  const IsaKernels& isa_;
  PanelLayout layout_;
  std::byte* panels_;
  DType type_;
  int64_t first_row_;
  SourceReader reader_;
  SourceRows source_;
  int64_t source_bytes_;   // of an element of the source
  int64_t element_bytes_;  // of a packed element
};

}  // namespace dray::kernels
