#include "model/weights/balance/channel_sizes.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "model/weights/row_runs.h"
#include "model/weights/sliced_rows.h"
#include "model/weights/slot_slices.h"
#include "model/weights/source_rows.h"

namespace dray::model {
namespace {

using kernels::SourceRows;

// Sums are added up in blocks of so many rows (Packer::AddSquares), so a piece has whole blocks.
constexpr int64_t kRowUnit = 32;

// A part of a tensor's slices, whose squares are added up.
class PartSquares {
 public:
  PartSquares(const PlannedTensor& part, std::span<const float> input_sizes, int64_t row_count,
              std::span<double> columns, kernels::Packer& packer)
      : slices_(RowSlicesOf(*part.source, part.row->transform)),
        input_sizes_(input_sizes),
        rows_(static_cast<size_t>(row_count)),
        row_factors_(rows_.size()),
        columns_(columns),
        packer_(packer) {}

  // Adds the squares of the weights over the sums of their rows to the columns. Returns [row]: the sums of the squares
  // of the rows, whose weights are multiplied by the sizes of their inputs. The pages stay in this process: the matrix is
  // packed soon.
  std::vector<double> Add() {
    if (slices_.size() == 1) {
      ForPieces(slices_.front(), [&](const RowSlice& piece) { AddBoth(piece); });
      return std::move(rows_);
    }
    // A slice may have only some columns of its rows, so the sums of rows are known after all slices.
    for (const RowSlice& slice : slices_) {
      ForPieces(slice, [&](const RowSlice& piece) { AddRows(piece); });
    }
    for (const RowSlice& slice : slices_) {
      ForPieces(slice, [&](const RowSlice& piece) { AddColumns(piece); });
    }
    return std::move(rows_);
  }

 private:
  // A piece's sums of columns take an eighth of the bytes of numbers in 16 bits.
  static constexpr int64_t kPieceBytes = int64_t{16} << 20;

  // Calls `body` with rows of the slice, a piece at a time. Rows that interleave over all pages are one piece.
  template <typename Body>
  static void ForPieces(const RowSlice& slice, const Body& body) {
    const SourceRows& all = slice.rows;
    const int64_t row_bytes = all.cols * static_cast<int64_t>(SizeOf(all.dtype));
    const bool interleaved = all.row_stride < all.col_stride;
    const int64_t count =
        interleaved ? all.rows
                    : std::max<int64_t>(kRowUnit, kPieceBytes / row_bytes / kRowUnit * kRowUnit);
    for (int64_t row = 0; row < all.rows; row += count) {
      RowSlice piece = slice;
      piece.row += row;
      piece.rows =
          PartOf(all, {.source_row = row, .count = std::min(count, all.rows - row)}, {0, all.cols});
      body(piece);
    }
  }

  void AddBoth(const RowSlice& piece) {
    packer_.AddSquares(piece.rows, {.columns = ColumnsOf(piece, columns_),
                                    .rows = RowsOf(piece, std::span(rows_)),
                                    .column_sizes = ColumnsOf(piece, input_sizes_),
                                    .columns_over_rows = true});
  }

  void AddRows(const RowSlice& piece) {
    packer_.AddSquares(piece.rows, {.columns = {},
                                    .rows = RowsOf(piece, std::span(rows_)),
                                    .column_sizes = ColumnsOf(piece, input_sizes_)});
  }

  // The sums of the piece's rows are known.
  void AddColumns(const RowSlice& piece) {
    const std::span<const double> sums = RowsOf(piece, std::span(rows_));
    const std::span<float> factors = RowsOf(piece, std::span(row_factors_));
    std::ranges::transform(sums, factors.begin(), [](double sum) {
      return static_cast<float>(sum > 0 ? 1 / std::sqrt(sum) : 0);
    });
    SourceRows rows = piece.rows;
    rows.row_factors = factors.data();
    packer_.AddSquares(rows,
                       {.columns = ColumnsOf(piece, columns_), .rows = {}, .column_sizes = {}});
  }

  template <typename Number>
  static std::span<Number> RowsOf(const RowSlice& piece, std::span<Number> all) {
    return all.subspan(static_cast<size_t>(piece.row), static_cast<size_t>(piece.rows.rows));
  }
  template <typename Number>
  static std::span<Number> ColumnsOf(const RowSlice& piece, std::span<Number> all) {
    return all.subspan(static_cast<size_t>(piece.col), static_cast<size_t>(piece.rows.cols));
  }

  const std::vector<RowSlice> slices_;
  const std::span<const float> input_sizes_;
  std::vector<double> rows_;
  std::vector<float> row_factors_;
  const std::span<double> columns_;
  kernels::Packer& packer_;
};

bool HasIntegers(const PlannedSlot& slot) {
  return std::any_of(slot.parts.begin(), slot.parts.end(),
                     [](const PlannedTensor& part) { return part.integers != nullptr; });
}

}  // namespace

void PrefetchSlot(const PlannedSlot& slot) {
  if (HasIntegers(slot)) return;
  for (const PlannedTensor& part : slot.parts) {
    for (const RowSlice& slice : RowSlicesOf(*part.source, part.row->transform)) {
      slice.file->WillNeed(SpannedBytes(slice.rows));
    }
  }
}

SlotSquares MeasureSlot(const PlannedSlot& slot, const ModelConfig& config,
                        std::span<const float> input_sizes, kernels::Packer& packer) {
  if (HasIntegers(slot)) return {};
  const parallel::Slice whole = SlicesOf(slot.row(), config, {}).rows;
  SlotSquares squares;
  squares.columns.resize(input_sizes.size());
  squares.rows.resize(static_cast<size_t>(whole.local_size));
  for (const PlannedTensor& part : slot.parts) {
    const std::vector<double> rows =
        PartSquares(part, input_sizes, ExtentOf(part.row->rows, config), squares.columns, packer)
            .Add();
    for (const RowRun& run : RowRuns(*part.row, config, whole)) {
      for (int64_t i = 0; i < run.count; ++i) {
        squares.rows[static_cast<size_t>(run.slot_row + i)] =
            rows[static_cast<size_t>(run.source_row + i * run.source_step)];
      }
    }
  }
  return squares;
}

}  // namespace dray::model
