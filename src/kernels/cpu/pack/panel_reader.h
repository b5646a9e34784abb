// Reads numbers back out of the panels of a matrix: as floats for Embed, and as they are stored to
// pack a part of the matrix again.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/isa_kernels.h"
#include "kernels/cpu/pack/panel_layout.h"
#include "kernels/cpu/pack/panel_places.h"

namespace dray::kernels {

class PanelReader {
 public:
  // The most columns of a ReadFloats call.
  static constexpr int64_t kMostColumns = 256;

  // The matrix must outlive the reader.
  PanelReader(const IsaKernels& isa, const WeightMatrix& matrix)
      : isa_(isa), layout_(matrix.spec()), places_(matrix, layout_), cols_(matrix.cols()) {}

  int64_t cols() const { return cols_; }
  const PanelLayout& layout() const { return layout_; }

  // Some numbers of a row as floats.
  void ReadFloats(int64_t row, Range cols, float* out) const;
  // Does the same in the format of the matrix, which is one of floats.
  void ReadNumbers(int64_t row, Range cols, std::byte* out) const;
  // Some integers of a row as they are stored, one in each byte.
  void ReadIntegers(int64_t row, Range cols, uint8_t* out) const;
  // The scale of (row, col), and the number that is added to a stored integer before it is scaled.
  float Scale(int64_t row, int64_t col) const;
  float MinusZero(int64_t row, int64_t col) const;

 private:
  // The address of the number, or of the byte that holds it.
  const std::byte* Element(int64_t row, int64_t col) const;
  float HalfAt(const std::byte* at) const;
  // The header of the group that holds (row, col).
  const std::byte* GroupHeader(int64_t row, int64_t col) const;

  const IsaKernels& isa_;
  PanelLayout layout_;
  PanelPlaces places_;
  int64_t cols_;
};

}  // namespace dray::kernels
