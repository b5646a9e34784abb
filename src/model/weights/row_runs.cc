#include "model/weights/row_runs.h"

#include <algorithm>

namespace dray::model {
namespace {

// Where the first row of a part lies in its slot.
int64_t FirstSlotRow(const WeightRow& row, const StackConfig& stack) {
  const int64_t first_key = row.slot == Slot::kCrossKeyValue ? 0 : stack.query_width();
  switch (row.part) {
    case Part::kKey:
      return first_key;
    case Part::kValue:
      return first_key + stack.kv_width();
    case Part::kUp:
      return stack.ffn;
    default:
      return 0;
  }
}

// All rows of the tensor, as they lie in the whole slot: one run, or for storage by heads some for
// each head.
std::vector<RowRun> AllRuns(const WeightRow& row, const ModelConfig& config) {
  const StackConfig& stack = config.stack;
  const int64_t first = FirstSlotRow(row, stack);
  std::vector<RowRun> runs;
  if (row.transform == Transform::kInterleavedHalves) {
    const int64_t half = stack.head_dim / 2;
    for (int64_t at = 0; at < ExtentOf(row.rows, config); at += stack.head_dim) {
      runs.push_back({first + at, at, half, 2});
      runs.push_back({first + at + half, at + 1, half, 2});
    }
    return runs;
  }
  if (row.transform == Transform::kFlatten) {
    return {{first, 0, ExtentOf(row.rows, config) * ExtentOf(row.cols, config)}};
  }
  if (row.transform != Transform::kPerHeadQkv) return {{first, 0, ExtentOf(row.rows, config)}};
  for (int64_t part = 0; part < 3; ++part) {
    for (int64_t head = 0; head < stack.num_heads; ++head) {
      runs.push_back({(part * stack.num_heads + head) * stack.head_dim,
                      (head * 3 + part) * stack.head_dim, stack.head_dim});
    }
  }
  return runs;
}

}  // namespace

std::vector<RowRun> RowRuns(const WeightRow& row, const ModelConfig& config,
                            const parallel::Slice& slot_rows) {
  std::vector<RowRun> held;
  for (const RowRun& run : AllRuns(row, config)) {
    for (const parallel::Piece& piece : slot_rows.pieces) {
      const int64_t begin = std::max(run.slot_row, piece.global);
      const int64_t end = std::min(run.slot_row + run.count, piece.global + piece.count);
      if (begin >= end) continue;
      held.push_back({piece.local + begin - piece.global,
                      run.source_row + (begin - run.slot_row) * run.source_step, end - begin,
                      run.source_step});
    }
  }
  return held;
}

std::span<const RowRun> FirstWithoutGap(std::span<const RowRun> runs) {
  size_t count = std::min<size_t>(runs.size(), 1);
  while (count < runs.size() &&
         runs[count].slot_row == runs[count - 1].slot_row + runs[count - 1].count) {
    ++count;
  }
  return runs.first(count);
}

std::vector<int64_t> SourceRowsOf(std::span<const RowRun> runs) {
  std::vector<int64_t> rows;
  for (const RowRun& run : runs) {
    for (int64_t i = 0; i < run.count; ++i) rows.push_back(run.source_row + i * run.source_step);
  }
  return rows;
}

}  // namespace dray::model
