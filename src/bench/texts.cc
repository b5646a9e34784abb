// The benchmark of encoders: for each number of texts and length, or for texts of mixed lengths, the time
// of all texts beside the floor that the machine's limits allow.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>

#include "bench/model_bench.h"
#include "bench/model_cost.h"
#include "bench/statistics.h"
#include "bench/text_run.h"
#include "bench/variant_runs.h"

namespace dray::bench {
namespace {

struct TextsRun {
  int64_t texts = 1;
  int64_t longest = 1;
  std::vector<int64_t> lengths;

  int64_t tokens() const { return std::accumulate(lengths.begin(), lengths.end(), int64_t{0}); }
};

std::vector<TextsRun> PlanRuns(const ModelBenchOptions& options, TextLengths kind) {
  std::vector<TextsRun> runs;
  for (const int64_t texts : options.batches) {
    for (const int64_t longest : options.inputs) {
      runs.push_back({texts, longest,
                      kind == TextLengths::kMixed
                          ? MixedLengths(texts, longest)
                          : std::vector<int64_t>(static_cast<size_t>(texts), longest)});
    }
  }
  return runs;
}

std::vector<Column> Columns() {
  constexpr auto kDataOnly = Column::Place::kDataOnly;
  return {{"variant", "variant"},
          {"texts", "texts"},
          {"longest", "longest"},
          {"tokens", "tokens"},
          {"tokens_per_second", "tok/s"},
          {"floor_tokens_per_second", "limit tok/s"},
          {"achieved_percent", "% of limit", 0},
          {"bound", "bound by"},
          {"p50_ms", "p50 ms", 2},
          {"p90_ms", "p90 ms", 2},
          {"p99_ms", "p99 ms", 2},
          {"samples", "samples", 0, kDataOnly},
          {"repeats_ms", "ms of each repeat", 3, kDataOnly},
          {"load_seconds", "load s", 2, kDataOnly},
          {"weight_bytes", "weight bytes", 0, kDataOnly},
          {"peak_memory_bytes", "peak memory bytes", 0, kDataOnly}};
}

void AddRow(const LoadedVariant& loaded, const TextsRun& run,
            const std::vector<std::vector<double>>& repeats, const std::optional<Floor>& floor,
            Report& report) {
  std::vector<double> all, medians;
  for (const std::vector<double>& times : repeats) {
    all.insert(all.end(), times.begin(), times.end());
    medians.push_back(1e3 * Median(times));
  }
  const Summary summary = Summarize(all);
  const auto tokens = static_cast<double>(run.tokens());
  const Cell limit = floor ? Cell(tokens / floor->seconds) : Cell();
  const Cell achieved = floor ? Cell(100 * floor->seconds / summary.p50) : Cell();
  const Cell bound = floor ? Cell(std::string(Name(floor->bound))) : Cell();
  report.rows.push_back({loaded.variant.label, run.texts, run.longest, run.tokens(),
                         tokens / summary.p50, limit, achieved, bound, summary.p50 * 1e3,
                         summary.p90 * 1e3, summary.p99 * 1e3, static_cast<int64_t>(summary.count),
                         medians, loaded.model->load_seconds,
                         static_cast<int64_t>(loaded.model->weight_bytes()), loaded.peak_bytes});
  if (!floor) return;
  report.bars.push_back({fmt::format("{} {} x {}", loaded.variant.label, run.texts, run.longest),
                         floor->seconds / summary.p50,
                         fmt::format("{:.0f} of {:.0f} tok/s, {}", tokens / summary.p50,
                                     tokens / floor->seconds, Name(floor->bound))});
}

}  // namespace

Result<Report> RunTexts(const ModelBenchOptions& options, TextLengths kind) {
  const std::vector<TextsRun> plan = PlanRuns(options, kind);
  double cost = 0;
  for (const TextsRun& run : plan) cost += static_cast<double>(run.tokens());
  VariantRuns runs(options, cost);
  Report report;
  report.title = "Texts of an encoder, beside what this machine allows";
  report.columns = Columns();
  report.bars_title = "Achieved, of what the machine allowed in the same minute";
  const Status status =
      runs.ForEach(report, Measured::kTextStates, [&](LoadedVariant& loaded) -> Status {
        for (const TextsRun& run : plan) {
          const auto sample = [&] { return SampleLimits(loaded, options.bandwidth_bytes); };
          const LimitsSample before = sample();
          DType kv_dtype{};
          DRAY_ASSIGN_OR_RETURN(const auto repeats,
                                runs.RepeatTexts(loaded, run.lengths, kv_dtype));
          // The weights of ranks that are other processes cannot be counted here.
          std::optional<Floor> floor;
          if (loaded.model->launcher == nullptr) {
            floor = FloorOf(CostOfTexts(*loaded.model, run.lengths, kv_dtype),
                            Better(before, sample()));
          }
          AddRow(loaded, run, repeats, floor, report);
        }
        return OkStatus();
      });
  DRAY_RETURN_IF_ERROR(status);
  DRAY_RETURN_IF_ERROR(CheckNotEmpty(report));
  report.notes.push_back(
      "Times are of all texts of a row, from ids to the states of their tokens. The limit is the "
      "larger of two times: that of reading the weights once, and that of the arithmetic.");
  return report;
}

}  // namespace dray::bench
