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

// What of the sums belongs to some rows and columns.
kernels::SquareSums Part(const kernels::SquareSums& sums, const RowSlice& slice) {
  const auto col = static_cast<size_t>(slice.col), cols = static_cast<size_t>(slice.rows.cols);
  return {.columns = sums.columns.subspan(col, cols),
          .rows = sums.rows.subspan(static_cast<size_t>(slice.row),
                                    static_cast<size_t>(slice.rows.rows)),
          .column_sizes = sums.column_sizes.subspan(col, cols)};
}

enum class Pages { kKeep, kRelease };

// Adds the squares of a slice, whose rows are multiplied by `row_factors` (null: by one) before. Gives
// pages back as soon as they are read, if they are not kept, unless rows interleave over all pages.
void AddSlice(const RowSlice& slice, const kernels::SquareSums& sums, const float* row_factors,
              Pages pages, kernels::Packer& packer) {
  const SourceRows& all = slice.rows;
  const bool interleaved = all.row_stride < all.col_stride;
  const int64_t piece =
      interleaved ? all.rows : PieceRows(all.cols * static_cast<int64_t>(SizeOf(all.dtype)));
  for (int64_t row = 0; row < all.rows; row += piece) {
    const int64_t count = std::min(piece, all.rows - row);
    RowSlice part = slice;
    part.row += row;
    part.rows = PartOf(all, {.source_row = row, .count = count}, {0, all.cols});
    if (row_factors != nullptr) part.rows.row_factors = row_factors + part.row;
    packer.AddSquares(part.rows, Part(sums, part));
    if (pages == Pages::kRelease) slice.file->Release(SpannedBytes(part.rows));
  }
}

// Returns [row]: the sums of the squares of a part's rows, whose weights are multiplied by the sizes of
// their inputs. Adds to `columns` the squares of the weights over the sums of their rows.
std::vector<double> AddPart(const PlannedTensor& part, std::span<const float> input_sizes,
                            int64_t row_count, std::vector<double>& columns,
                            kernels::Packer& packer) {
  const auto slices = RowSlicesOf(*part.source, part.row->transform);
  std::vector<double> rows(static_cast<size_t>(row_count)), ignored(columns.size());
  // A slice may have only some columns of its rows, so the sums of rows are known after all slices.
  for (const RowSlice& slice : slices) {
    AddSlice(slice, {ignored, rows, input_sizes}, nullptr, Pages::kKeep, packer);
  }
  std::vector<float> row_factors;
  row_factors.reserve(rows.size());
  for (const double sum : rows) {
    row_factors.push_back(static_cast<float>(sum > 0 ? 1 / std::sqrt(sum) : 0));
  }
  ignored.assign(rows.size(), 0);
  for (const RowSlice& slice : slices) {
    AddSlice(slice, {columns, ignored, input_sizes}, row_factors.data(), Pages::kRelease, packer);
  }
  return rows;
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
    const std::vector<double> rows =
        AddPart(part, input_sizes, ExtentOf(part.row->rows, config), squares.columns, packer);
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
