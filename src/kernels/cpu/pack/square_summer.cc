#include "kernels/cpu/pack/square_summer.h"

#include <algorithm>

#include "base/checked_math.h"

namespace dray::kernels {
namespace {

// Rows of a block.
constexpr int64_t kBlockRows = 32;
// Columns of dense rows that are read at a time if columns have sums: so many that a row is read in long pieces, and that
// the sums of all columns stay in the first cache.
constexpr int64_t kReadCols = 2048;
static_assert(kReadCols % kSquareCols == 0);

}  // namespace

SquareSummer::SquareSummer(const IsaKernels& isa, const SourceRows& source, const SquareSums& sums)
    : isa_(isa),
      reader_(isa, source),
      sums_(sums),
      blocks_(DivideRoundUp<int64_t>(source.rows, kBlockRows)),
      padded_cols_(RoundUp(source.cols, kSquareCols)),
      block_sums_(sums.columns.empty() ? 0 : static_cast<size_t>(blocks_ * padded_cols_)) {
  if (sums.rows.empty()) return;
  sizes_.assign(sums.column_sizes.begin(), sums.column_sizes.end());
  sizes_.resize(static_cast<size_t>(padded_cols_));
}

void SquareSummer::AddBlocks(Range blocks) {
  const SourceRows& source = reader_.source();
  const bool is_direct = reader_.has_dense_rows() && source.column_factors == nullptr;
  const int64_t direct_cols = sums_.columns.empty() ? padded_cols_ : kReadCols;
  const int64_t cols_at_once = is_direct ? direct_cols : kSquareCols;
  for (int64_t b = blocks.begin; b < blocks.end; ++b) {
    const Range rows{b * kBlockRows, std::min((b + 1) * kBlockRows, source.rows)};
    for (int64_t col = 0; col < source.cols; col += cols_at_once) {
      const Range cols{col, std::min(col + cols_at_once, source.cols)};
      if (is_direct) {
        AddDenseRows(rows, cols);
      } else {
        AddTile(rows, cols);
      }
    }
  }
}

void SquareSummer::AddDenseRows(Range rows, Range cols) {
  const SourceRows& source = reader_.source();
  for (int64_t r = rows.begin; r < rows.end; ++r) {
    const float factor = source.row_factors == nullptr ? 1.0f : source.row_factors[r];
    AddRow(r, cols,
           {.dtype = source.dtype, .source = reader_.Element(r, cols.begin), .row_factor = factor});
  }
}

void SquareSummer::AddTile(Range rows, Range cols) {
  float tile[kBlockRows * kSquareCols];
  reader_.Read(rows, cols, tile, kSquareCols);
  for (int64_t r = rows.begin; r < rows.end; ++r) {
    AddRow(r, cols, {.dtype = DType::kF32, .source = tile + (r - rows.begin) * kSquareCols});
  }
}

void SquareSummer::AddRow(int64_t row, Range cols, SquaresTask task) {
  task.count = cols.end - cols.begin;
  if (!block_sums_.empty()) {
    task.columns = block_sums_.data() + row / kBlockRows * padded_cols_ + cols.begin;
  }
  if (sizes_.empty()) {
    isa_.add_squares(task);
    return;
  }
  double& sum = sums_.rows[static_cast<size_t>(row)];
  task.sizes = sizes_.data() + cols.begin;
  task.row = sum;
  sum = isa_.add_squares(task);
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
