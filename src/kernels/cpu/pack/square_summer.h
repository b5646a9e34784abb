// Adds up the squares of a source's weights: Packer::AddSquares, divided into blocks of rows that
// threads share out.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/cpu/pack/source_reader.h"

namespace dray::kernels {

class SquareSummer {
 public:
  SquareSummer(const IsaKernels& isa, const SourceRows& source, const SquareSums& sums);

  int64_t blocks() const { return blocks_; }
  // Adds up some blocks of rows. Several threads may add up different blocks.
  void AddBlocks(Range blocks);
  // Adds the sums of all blocks to SquareSums::columns, for some columns. Several threads may do so for
  // different columns.
  void JoinColumns(Range columns) const;

 private:
  const IsaKernels& isa_;
  SourceReader reader_;
  SquareSums sums_;
  int64_t blocks_;
  int64_t padded_cols_;
  std::vector<float> sizes_;        // [padded_cols_]: SquareSums::column_sizes, then zeros
  std::vector<double> block_sums_;  // [blocks_, padded_cols_]: of each column
};

}  // namespace dray::kernels
