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
  // Which sums get the squares of a block of rows.
  struct Kinds {
    bool rows = false;
    bool columns = false;
    const float* factors = nullptr;  // [rows of the block]: of the weights; null: ones
  };
  void AddBlock(Range rows, const Kinds& kinds);
  // Add up some columns of a block, which begin with a multiple of kSquareCols: rows that the source has one after the
  // other straight from there, any others through a tile of kSquareCols columns.
  void AddDenseRows(Range rows, Range cols, const Kinds& kinds);
  void AddTile(Range rows, Range cols, const Kinds& kinds);
  // Adds up what the task's source holds of a block.
  void Add(Range rows, Range cols, const Kinds& kinds, SquaresTask task);

  const IsaKernels& isa_;
  SourceReader reader_;
  SquareSums sums_;
  int64_t blocks_;
  int64_t padded_cols_;
  // Empty if SquareSums has no rows; [padded_cols_]: SquareSums::column_sizes, then zeros.
  std::vector<double> sizes_;
  // Empty if SquareSums has no columns; [blocks_, padded_cols_]: of each column.
  std::vector<double> block_sums_;
};

}  // namespace dray::kernels
