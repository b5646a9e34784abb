// Reads parts of a source of weights as f32 numbers, whatever the source's format and order.
#pragma once

#include <cstdint>

#include "kernels/cpu/isa_kernels.h"
#include "kernels/packer.h"

namespace dray::kernels {

class SourceReader {
 public:
  SourceReader(const IsaKernels& isa, const SourceRows& source);

  const SourceRows& source() const { return source_; }
  // The place of a number in the source.
  const std::byte* Element(int64_t row, int64_t col) const;
  // Whether the numbers of a row lie one after the other.
  bool has_dense_rows() const { return source_.col_stride == 1; }
  // Writes the weights of some rows and columns of the source, its factors applied: weight (r, c) goes
  // to out[(r - rows.begin) * stride + c - cols.begin]. There are at most 32 rows. Columns behind the
  // source's last one are zero.
  void Read(Range rows, Range cols, float* out, int64_t stride) const;

 private:
  void ReadDenseRows(Range rows, Range cols, float* out, int64_t stride) const;
  void ReadElements(Range rows, Range cols, float* out, int64_t stride) const;
  void ReadByColumns(Range rows, Range cols, float* out, int64_t stride) const;
  void Multiply(Range rows, Range cols, float* out, int64_t stride) const;

  const IsaKernels& isa_;
  SourceRows source_;
  int64_t element_bytes_;
};

}  // namespace dray::kernels
