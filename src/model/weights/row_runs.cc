#include "model/weights/row_runs.h"

namespace dray::model {
namespace {

// Where the first row of a part lies in its slot.
int64_t FirstSlotRow(Part part, const DecoderConfig& config) {
  switch (part) {
    case Part::kKey:
      return config.query_width();
    case Part::kValue:
      return config.query_width() + config.kv_width();
    case Part::kUp:
      return config.ffn;
    default:
      return 0;
  }
}

}  // namespace

// One run, or for storage by heads some for each head.
std::vector<RowRun> RowRuns(const WeightRow& row, const DecoderConfig& config) {
  const int64_t first = FirstSlotRow(row.part, config);
  std::vector<RowRun> runs;
  if (row.transform == Transform::kInterleavedHalves) {
    const int64_t half = config.head_dim / 2;
    for (int64_t at = 0; at < ExtentOf(row.rows, config); at += config.head_dim) {
      runs.push_back({first + at, at, half, 2});
      runs.push_back({first + at + half, at + 1, half, 2});
    }
    return runs;
  }
  if (row.transform != Transform::kPerHeadQkv) return {{first, 0, ExtentOf(row.rows, config)}};
  for (int64_t part = 0; part < 3; ++part) {
    for (int64_t head = 0; head < config.num_heads; ++head) {
      runs.push_back({(part * config.num_heads + head) * config.head_dim,
                      (head * 3 + part) * config.head_dim, config.head_dim});
    }
  }
  return runs;
}

std::vector<int64_t> SourceRowsOf(const std::vector<RowRun>& runs) {
  std::vector<int64_t> rows;
  for (const RowRun& run : runs) {
    for (int64_t i = 0; i < run.count; ++i) rows.push_back(run.source_row + i * run.source_step);
  }
  return rows;
}

}  // namespace dray::model
