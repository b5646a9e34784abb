#include "model/weights/balance/channel_sizes.h"

#include <algorithm>

#include "model/weights/row_runs.h"
#include "model/weights/sliced_rows.h"
#include "model/weights/slot_slices.h"
#include "model/weights/source_rows.h"

namespace dray::model {
namespace {

using kernels::SourceRows;

// What of the sums belongs to some rows and columns.
kernels::SquareSums Part(const kernels::SquareSums& sums, const RowSlice& slice) {
  const auto col = static_cast<size_t>(slice.col), cols = static_cast<size_t>(slice.rows.cols);
  return {.columns = sums.columns.subspan(col, cols),
          .rows = sums.rows.subspan(static_cast<size_t>(slice.row),
                                    static_cast<size_t>(slice.rows.rows)),
          .column_sizes = sums.column_sizes.subspan(col, cols)};
}

// Gives pages back as soon as they are read, unless rows interleave over all pages.
void AddSlice(const RowSlice& slice, const kernels::SquareSums& sums, kernels::Packer& packer) {
  const SourceRows& all = slice.rows;
  const bool interleaved = all.row_stride < all.col_stride;
  const int64_t piece =
      interleaved ? all.rows : PieceRows(all.cols * static_cast<int64_t>(SizeOf(all.dtype)));
  for (int64_t row = 0; row < all.rows; row += piece) {
    const int64_t count = std::min(piece, all.rows - row);
    RowSlice part = slice;
    part.row += row;
    part.rows = PartOf(all, {.source_row = row, .count = count}, {0, all.cols});
    packer.AddSquares(part.rows, Part(sums, part));
    slice.file->Release(SpannedBytes(part.rows));
  }
}

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
    std::vector<double> rows(static_cast<size_t>(ExtentOf(part.row->rows, config)));
    const kernels::SquareSums sums = {squares.columns, rows, input_sizes};
    for (const RowSlice& slice : RowSlicesOf(*part.source, part.row->transform)) {
      AddSlice(slice, sums, packer);
    }
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
