#include "kernels/cpu/pack/square_summer.h"

#include <algorithm>
#include <cmath>

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
  for (int64_t b = blocks.begin; b < blocks.end; ++b) {
    const Range rows{b * kBlockRows, std::min((b + 1) * kBlockRows, reader_.source().rows)};
    if (!sums_.columns_over_rows) {
      AddBlock(rows, {.rows = !sizes_.empty(), .columns = !block_sums_.empty()});
      continue;
    }
    AddBlock(rows, {.rows = true});
    float factors[kBlockRows];
    for (int64_t r = rows.begin; r < rows.end; ++r) {
      const double sum = sums_.rows[static_cast<size_t>(r)];
      factors[r - rows.begin] = static_cast<float>(sum > 0 ? 1 / std::sqrt(sum) : 0);
    }
    // The block is in the second cache now.
    AddBlock(rows, {.columns = true, .factors = factors});
  }
}

void SquareSummer::AddBlock(Range rows, const Kinds& kinds) {
  const SourceRows& source = reader_.source();
  const bool is_direct = reader_.has_dense_rows() && source.column_factors == nullptr;
  const int64_t direct_cols = kinds.columns ? kReadCols : padded_cols_;
  const int64_t cols_at_once = is_direct ? direct_cols : kSquareCols;
  for (int64_t col = 0; col < source.cols; col += cols_at_once) {
    const Range cols{col, std::min(col + cols_at_once, source.cols)};
    if (is_direct) {
      AddDenseRows(rows, cols, kinds);
    } else {
      AddTile(rows, cols, kinds);
    }
  }
}

void SquareSummer::AddDenseRows(Range rows, Range cols, const Kinds& kinds) {
  const SourceRows& source = reader_.source();
  const float* factors = source.row_factors == nullptr ? nullptr : source.row_factors + rows.begin;
  if (kinds.factors != nullptr) factors = kinds.factors;
  Add(rows, cols, kinds,
      {.dtype = source.dtype,
       .source = reader_.Element(rows.begin, cols.begin),
       .row_stride = source.row_stride,
       .row_factors = factors});
}

void SquareSummer::AddTile(Range rows, Range cols, const Kinds& kinds) {
  float tile[kBlockRows * kSquareCols];
  reader_.Read(rows, cols, tile, kSquareCols);
  Add(rows, cols, kinds,
      {.dtype = DType::kF32,
       .source = tile,
       .row_stride = kSquareCols,
       .row_factors = kinds.factors});
}

void SquareSummer::Add(Range rows, Range cols, const Kinds& kinds, SquaresTask task) {
  task.num_rows = rows.end - rows.begin;
  task.count = cols.end - cols.begin;
  if (kinds.columns) {
    task.columns = block_sums_.data() + rows.begin / kBlockRows * padded_cols_ + cols.begin;
  }
  if (kinds.rows) {
    task.rows = sums_.rows.data() + rows.begin;
    task.sizes = sizes_.data() + cols.begin;
  }
  isa_.add_squares(task);
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
