#include "kernels/cpu/pack/square_summer.h"

#include <algorithm>

#include "base/checked_math.h"

namespace dray::kernels {
namespace {

// Rows of a block. A tile of so many rows and kTileCols columns, and the sums of its columns, stay in
// the first cache.
constexpr int64_t kBlockRows = 32;
constexpr int64_t kTileCols = 64;

}  // namespace

SquareSummer::SquareSummer(const IsaKernels& isa, const SourceRows& source, const SquareSums& sums)
    : isa_(isa),
      reader_(isa, source),
      sums_(sums),
      blocks_(DivideRoundUp<int64_t>(source.rows, kBlockRows)),
      padded_cols_(RoundUp(source.cols, kTileCols)),
      sizes_(sums.column_sizes.begin(), sums.column_sizes.end()),
      block_sums_(static_cast<size_t>(blocks_ * padded_cols_)) {
  sizes_.resize(static_cast<size_t>(padded_cols_));
}

void SquareSummer::AddBlocks(Range blocks) {
  alignas(64) float tile[kBlockRows * kTileCols];
  for (int64_t b = blocks.begin; b < blocks.end; ++b) {
    const Range rows{b * kBlockRows, std::min((b + 1) * kBlockRows, reader_.source().rows)};
    double* const columns = block_sums_.data() + b * padded_cols_;
    for (int64_t col = 0; col < padded_cols_; col += kTileCols) {
      reader_.Read(rows, {col, col + kTileCols}, tile, kTileCols);
      for (int64_t r = rows.begin; r < rows.end; ++r) {
        sums_.rows[static_cast<size_t>(r)] += isa_.add_squares(
            tile + (r - rows.begin) * kTileCols, sizes_.data() + col, kTileCols, columns + col);
      }
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
