#include "kernels/cpu/pack/square_summer.h"

#include <algorithm>

#include "base/checked_math.h"

namespace dray::kernels {
namespace {

// Rows of a block.
constexpr int64_t kBlockRows = 32;
// Columns whose squares are added up at a time. The sums of rows depend on it.
constexpr int64_t kTileCols = 64;
// Columns that are read at a time from rows that the source has one after the other: so many that a row is read in
// long pieces, and that the sums of all columns stay in the first cache.
constexpr int64_t kReadCols = 16 * kTileCols;
constexpr int64_t kTileSize = std::max(kBlockRows * kTileCols, kReadCols);

}  // namespace

SquareSummer::SquareSummer(const IsaKernels& isa, const SourceRows& source, const SquareSums& sums)
    : isa_(isa),
      reader_(isa, source),
      sums_(sums),
      blocks_(DivideRoundUp<int64_t>(source.rows, kBlockRows)),
      padded_cols_(RoundUp(source.cols, kTileCols)),
      block_sums_(sums.columns.empty() ? 0 : static_cast<size_t>(blocks_ * padded_cols_)) {
  if (sums.rows.empty()) return;
  sizes_.assign(sums.column_sizes.begin(), sums.column_sizes.end());
  sizes_.resize(static_cast<size_t>(padded_cols_));
}

void SquareSummer::AddBlocks(Range blocks) {
  const bool is_dense = reader_.has_dense_rows();
  const int64_t rows_at_once = is_dense ? 1 : kBlockRows,
                cols_at_once = is_dense ? kReadCols : kTileCols;
  for (int64_t b = blocks.begin; b < blocks.end; ++b) {
    const int64_t end = std::min((b + 1) * kBlockRows, reader_.source().rows);
    for (int64_t col = 0; col < padded_cols_; col += cols_at_once) {
      const Range cols{col, std::min(col + cols_at_once, padded_cols_)};
      for (int64_t row = b * kBlockRows; row < end; row += rows_at_once) {
        AddTile(b, {row, std::min(row + rows_at_once, end)}, cols);
      }
    }
  }
}

void SquareSummer::AddTile(int64_t block, Range rows, Range cols) {
  alignas(64) float tile[kTileSize];
  const int64_t stride = cols.end - cols.begin;
  reader_.Read(rows, cols, tile, stride);
  for (int64_t r = rows.begin; r < rows.end; ++r) {
    for (int64_t col = cols.begin; col < cols.end; col += kTileCols) {
      const float* const sizes = sizes_.empty() ? nullptr : sizes_.data() + col;
      double* const columns =
          block_sums_.empty() ? nullptr : block_sums_.data() + block * padded_cols_ + col;
      const float* const numbers = tile + (r - rows.begin) * stride + col - cols.begin;
      const double squares = isa_.add_squares(numbers, sizes, kTileCols, columns);
      if (sizes != nullptr) sums_.rows[static_cast<size_t>(r)] += squares;
    }
  }
}

void SquareSummer::JoinColumns(Range columns) const {
  for (int64_t b = 0; b < blocks_; ++b) {
    const double* const block = block_sums_.data() + b * padded_cols_;
    for (int64_t c = columns.begin; c < columns.end; ++c) {
      sums_.columns[static_cast<size_t>(c)] += block[c];
    }
  }
}

}  // namespace dray::kernels
