// The latency grid and the batch table.
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <utility>

#include "bench/model_bench.h"
#include "bench/statistics.h"
#include "bench/variant_runs.h"

namespace dray::bench {
namespace {

constexpr auto kDataOnly = Column::Place::kDataOnly;

int64_t Longest(const std::vector<int64_t>& values) {
  return *std::max_element(values.begin(), values.end());
}

std::string Describe(const RunShape& shape) {
  return fmt::format("{} x {} in, {} out", shape.sequences, shape.prompt_tokens, shape.new_tokens);
}

void AddGridRow(const LoadedVariant& loaded, const RunShape& shape,
                const std::vector<RunTimes>& all, Report& report) {
  std::vector<double> seconds;
  std::vector<double> first;
  for (const RunTimes& times : all) {
    seconds.push_back(times.token_times[static_cast<size_t>(shape.new_tokens - 1)]);
    first.push_back(times.prompt_seconds);
  }
  const Summary summary = Summarize(seconds);
  const auto tokens = static_cast<double>(shape.sequences * shape.new_tokens);
  report.rows.push_back({loaded.variant.label, shape.sequences, shape.prompt_tokens,
                         shape.new_tokens, summary.p50, summary.p90, summary.p99,
                         tokens / summary.p50, Median(first), static_cast<int64_t>(summary.count),
                         seconds, loaded.model->load_seconds,
                         static_cast<int64_t>(loaded.model->weight_bytes()), loaded.peak_bytes});
}

// The median latency of a cell, or NaN if it was not measured.
double FindLatency(const Report& report, const std::string& variant, const RunShape& shape) {
  for (const auto& row : report.rows) {
    if (std::get<std::string>(row[0]) == variant && std::get<int64_t>(row[1]) == shape.sequences &&
        std::get<int64_t>(row[2]) == shape.prompt_tokens &&
        std::get<int64_t>(row[3]) == shape.new_tokens) {
      return std::get<double>(row[4]);
    }
  }
  return std::numeric_limits<double>::quiet_NaN();
}

// Adds a map for each variant and batch size, with a row for each input length and a column for
// each output length.
void AddHeatMaps(const ModelBenchOptions& options, Report& report) {
  for (const Variant& variant : options.variants) {
    for (const int64_t batch : options.batches) {
      HeatMap map;
      map.title = fmt::format("{}, batch {}: median latency, s", variant.label, batch);
      map.row_title = "tokens in";
      map.column_title = "tokens out";
      for (const int64_t output : options.outputs) map.columns.push_back(std::to_string(output));
      for (const int64_t input : options.inputs) {
        map.rows.push_back(std::to_string(input));
        std::vector<double> values;
        for (const int64_t output : options.outputs) {
          values.push_back(FindLatency(report, variant.label, {batch, input, output}));
        }
        map.values.push_back(std::move(values));
      }
      report.heat_maps.push_back(std::move(map));
    }
  }
}

// Calls body(shape) for each batch size and input length, always with the longest output.
Status ForEachShape(const ModelBenchOptions& options,
                    const std::function<Status(const RunShape&)>& body) {
  for (const int64_t batch : options.batches) {
    for (const int64_t input : options.inputs) {
      DRAY_RETURN_IF_ERROR(body({batch, input, Longest(options.outputs), options.num_beams}));
    }
  }
  return OkStatus();
}

double CostOfAll(const ModelBenchOptions& options) {
  double cost = 0;
  const Status ok = ForEachShape(options, [&](const RunShape& shape) {
    cost += CostOfRun(shape);
    return OkStatus();
  });
  return ok.ok() ? cost : 0;
}

std::vector<double> SequenceTimes(const std::vector<RunTimes>& all) {
  std::vector<double> seconds;
  for (const RunTimes& times : all) {
    seconds.insert(seconds.end(), times.sequence_times.begin(), times.sequence_times.end());
  }
  return seconds;
}

void AddBatchRow(const LoadedVariant& loaded, const RunShape& shape,
                 const std::vector<RunTimes>& all, Report& report) {
  const Summary summary = Summarize(SequenceTimes(all));
  std::vector<double> totals;
  totals.reserve(all.size());
  for (const RunTimes& times : all) totals.push_back(times.total_seconds);
  const double rate = static_cast<double>(shape.sequences * shape.new_tokens) / Median(totals);
  report.rows.push_back({loaded.variant.label, shape.sequences, shape.prompt_tokens,
                         shape.new_tokens, loaded.model->load_seconds, summary.p50, summary.p90,
                         summary.p99, Median(totals), rate, static_cast<int64_t>(summary.count),
                         totals, static_cast<int64_t>(loaded.model->weight_bytes()),
                         loaded.peak_bytes});
}

}  // namespace

Result<Report> RunGrid(const ModelBenchOptions& options) {
  VariantRuns runs(options, CostOfAll(options));
  Report report;
  report.title = "Latency grid";
  report.columns = {{"variant", "variant"},
                    {"batch", "batch"},
                    {"input_tokens", "in"},
                    {"output_tokens", "out"},
                    {"p50_s", "p50 s", 3},
                    {"p90_s", "p90 s", 3},
                    {"p99_s", "p99 s", 3},
                    {"tokens_per_second", "tok/s"},
                    {"first_token_s", "first token s", 3},
                    {"samples", "samples", 0, kDataOnly},
                    {"repeats_s", "s of each repeat", 3, kDataOnly},
                    {"load_seconds", "load s", 2, kDataOnly},
                    {"weight_bytes", "weight bytes", 0, kDataOnly},
                    {"peak_memory_bytes", "peak memory bytes", 0, kDataOnly}};
  const Status status = runs.ForEach(report, Measured::kAnswers, [&](LoadedVariant& loaded) {
    return ForEachShape(options, [&](RunShape longest) -> Status {
      const auto outputs = FittingOutputs(loaded, longest.prompt_tokens, options.outputs, report);
      if (outputs.empty()) return OkStatus();
      longest.new_tokens = Longest(outputs);
      double kv_token_bytes = 0;
      DRAY_ASSIGN_OR_RETURN(const auto all,
                            runs.Repeat(loaded, Describe(longest), longest, kv_token_bytes));
      for (const int64_t output : outputs) {
        AddGridRow(loaded, {longest.sequences, longest.prompt_tokens, output}, all, report);
      }
      return OkStatus();
    });
  });
  DRAY_RETURN_IF_ERROR(status);
  DRAY_RETURN_IF_ERROR(CheckNotEmpty(report));
  AddHeatMaps(options, report);
  report.notes.emplace_back(
      "Latency is from the request to the last token of its batch, and tok/s are new tokens over "
      "it. One run of the longest output serves the shorter ones, at their own last token.");
  return report;
}

Result<Report> RunBatchTable(const ModelBenchOptions& options) {
  const double all_outputs = static_cast<double>(options.outputs.size());
  VariantRuns runs(options, CostOfAll(options) * all_outputs);
  Report report;
  report.title = "Batch table";
  report.columns = {{"variant", "variant"},
                    {"batch", "batch"},
                    {"input_tokens", "in"},
                    {"output_tokens", "out"},
                    {"load_seconds", "load s", 2},
                    {"p50_s", "p50 s", 3},
                    {"p90_s", "p90 s", 3},
                    {"p99_s", "p99 s", 3},
                    {"total_s", "all s", 3},
                    {"tokens_per_second", "tok/s"},
                    {"samples", "samples", 0, kDataOnly},
                    {"repeats_s", "s of each repeat", 3, kDataOnly},
                    {"weight_bytes", "weight bytes", 0, kDataOnly},
                    {"peak_memory_bytes", "peak memory bytes", 0, kDataOnly}};
  const Status status = runs.ForEach(report, Measured::kAnswers, [&](LoadedVariant& loaded) {
    return ForEachShape(options, [&](const RunShape& longest) -> Status {
      for (const int64_t output : options.outputs) {
        RunShape shape = longest;
        shape.new_tokens = output;
        if (!Fits(loaded, shape, report)) continue;
        double kv_token_bytes = 0;
        DRAY_ASSIGN_OR_RETURN(const auto all,
                              runs.Repeat(loaded, Describe(shape), shape, kv_token_bytes));
        AddBatchRow(loaded, shape, all, report);
      }
      return OkStatus();
    });
  });
  DRAY_RETURN_IF_ERROR(status);
  DRAY_RETURN_IF_ERROR(CheckNotEmpty(report));
  report.notes.emplace_back(
      "p50, p90 and p99 are of the requests' latencies, all sent at once; tok/s are all new tokens "
      "over the time of the whole batch.");
  return report;
}

}  // namespace dray::bench
