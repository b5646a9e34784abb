// Parts of packed matrices: the rows and columns that one rank of a group holds. A part shares the
// panels of the whole where its rows begin at multiples of 32 and its columns where a step and a
// group do. Else its numbers are read and packed again.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "kernels/cpu/pack/panel_reader.h"
#include "kernels/packer.h"

namespace dray::kernels {

// The panels of `whole`, which shares memory, that are the panels of the part; nothing if they are
// not. kResourceExhausted if there is no memory for panels of zeros.
Result<std::optional<SharedBlocks>> SharePanels(const WeightMatrix& whole, const MatrixPart& part);

// Some columns of a packed matrix of integers, as a source from which a part of it is packed.
class PackedColumns final : public QuantizedSource {
 public:
  // The matrix must outlive the object.
  PackedColumns(const IsaKernels& isa, const WeightMatrix& matrix, Range cols);

  QuantizedRows Unpack(std::span<const int64_t> rows, QuantizedBuffer& buffer) const override;

 private:
  // The columns that share a scale, from the first one of the part.
  int64_t GroupCols() const;

  PanelReader reader_;
  Range cols_;
};

}  // namespace dray::kernels
