// Micro-runs: the median of each run beside the floor that the machine's limits, measured around
// it, allow.
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "bench/model_bench.h"
#include "bench/model_cost.h"
#include "bench/statistics.h"
#include "bench/variant_runs.h"

namespace dray::bench {
namespace {

// Decoding of one sequence is timed after a short prompt, where reading the cache costs least.
constexpr int64_t kShortPrompt = 16;
constexpr int64_t kDecodeTokens = 64;

enum class Kind { kPrompt, kDecode };

struct MicroRun {
  Kind kind = Kind::kPrompt;
  std::string name;
  RunShape shape;
};

std::vector<MicroRun> PlanRuns(const ModelBenchOptions& options) {
  std::vector<MicroRun> runs;
  const auto wants = [&](MicroKind kind) {
    return std::find(options.kinds.begin(), options.kinds.end(), kind) != options.kinds.end();
  };
  if (wants(MicroKind::kPrompt)) {
    runs.push_back({Kind::kPrompt, "prompt", {1, options.prompt, 1}});
  }
  if (wants(MicroKind::kDecode)) {
    runs.push_back({Kind::kDecode, "decode", {1, kShortPrompt, kDecodeTokens}});
  }
  if (!wants(MicroKind::kBatch)) return runs;
  for (const int64_t input : options.inputs) {
    for (const int64_t output : options.outputs) {
      for (const int64_t batch : options.batches) {
        runs.push_back({Kind::kDecode, "batch", {batch, input, output}});
      }
    }
  }
  return runs;
}

std::vector<Column> Columns() {
  constexpr auto kDataOnly = Column::Place::kDataOnly;
  return {{"variant", "variant"},
          {"run", "run"},
          {"sequences", "seqs"},
          {"input_tokens", "in"},
          {"output_tokens", "out"},
          {"tokens_per_second", "tok/s"},
          {"floor_tokens_per_second", "limit tok/s"},
          {"achieved_percent", "% of limit", 0},
          {"bound", "bound by"},
          {"p50_ms", "p50 ms", 2},
          {"p90_ms", "p90 ms", 2},
          {"p99_ms", "p99 ms", 2},
          {"read_gb_per_second", "read GB/s"},
          {"f32_tops", "f32 TOP/s", 2},
          {"bf16_tops", "bf16 TOP/s", 2},
          {"int8_tops", "int8 TOP/s", 2},
          {"int4_tops", "int4 TOP/s", 2},
          {"total_tokens_per_second", "tok/s with prompts", 1, kDataOnly},
          {"samples", "samples", 0, kDataOnly},
          {"repeats_ms", "ms of each repeat", 2, kDataOnly},
          {"total_s", "whole runs, s", 3, kDataOnly},
          {"load_seconds", "load s", 2, kDataOnly},
          {"weight_bytes", "weight bytes", 0, kDataOnly},
          {"peak_memory_bytes", "peak memory bytes", 0, kDataOnly}};
}

// A rate of zero means that there is no such instruction.
Cell Tops(double rate) {
  if (rate <= 0) return std::monostate();
  return 2 * rate / 1e12;
}

// The times by which the run is judged: those of whole prompts, or of single steps.
std::vector<double> Samples(const MicroRun& run, const std::vector<RunTimes>& all) {
  std::vector<double> samples;
  for (const RunTimes& times : all) {
    if (run.kind == Kind::kPrompt) {
      samples.push_back(times.prompt_seconds);
    } else {
      samples.insert(samples.end(), times.decode_steps.begin(), times.decode_steps.end());
    }
  }
  return samples;
}

PassShape ShapeOf(const MicroRun& run) {
  const auto in = static_cast<double>(run.shape.prompt_tokens);
  if (run.kind == Kind::kPrompt) return {1, run.shape.prompt_tokens, in};
  // The steps' contexts have in + 1 to in + new - 1 tokens; this is their mean.
  return {run.shape.sequences, 1, in + static_cast<double>(run.shape.new_tokens) / 2};
}

// One time for each repeat: that of its prompt, or its median step.
std::vector<double> RepeatsMs(const MicroRun& run, const std::vector<RunTimes>& all) {
  std::vector<double> repeats;
  repeats.reserve(all.size());
  for (const RunTimes& times : all) repeats.push_back(1e3 * Median(Samples(run, {times})));
  return repeats;
}

std::vector<double> Totals(const std::vector<RunTimes>& all) {
  std::vector<double> seconds;
  seconds.reserve(all.size());
  for (const RunTimes& times : all) seconds.push_back(times.total_seconds);
  return seconds;
}

double TotalRate(const MicroRun& run, const std::vector<RunTimes>& all) {
  return static_cast<double>(run.shape.sequences * run.shape.new_tokens) / Median(Totals(all));
}

struct RunResult {
  std::vector<RunTimes> times;
  double kv_token_bytes = 0;
  LimitsSample limits;
};

// Nothing if the ranks are other processes, whose weights this one cannot count, or if the model has an
// encoder, which computes other rows than the decoder.
std::optional<Floor> FloorOfRun(const LoadedVariant& loaded, const MicroRun& run,
                                const RunResult& measured) {
  if (loaded.model->launcher != nullptr || loaded.model->description.config.encoder) {
    return std::nullopt;
  }
  return FloorOf(CostOf(*loaded.model, ShapeOf(run), measured.kv_token_bytes), measured.limits);
}

void AddRow(const LoadedVariant& loaded, const MicroRun& run, const RunResult& measured,
            Report& report) {
  const Summary summary = Summarize(Samples(run, measured.times));
  if (summary.count == 0) {
    report.notes.push_back(fmt::format("{} {} of {}: too few new tokens for a step of all of them",
                                       loaded.variant.label, run.name, run.shape.sequences));
    return;
  }
  const std::optional<Floor> floor = FloorOfRun(loaded, run, measured);
  const auto tokens = static_cast<double>(run.kind == Kind::kPrompt ? run.shape.prompt_tokens
                                                                    : run.shape.sequences);
  const LimitsSample& limits = measured.limits;
  const bool is_prompt = run.kind == Kind::kPrompt;
  report.rows.push_back({loaded.variant.label,
                         run.name,
                         run.shape.sequences,
                         run.shape.prompt_tokens,
                         run.shape.new_tokens,
                         tokens / summary.p50,
                         floor ? Cell(tokens / floor->seconds) : Cell(),
                         floor ? Cell(100 * floor->seconds / summary.p50) : Cell(),
                         floor ? Cell(std::string(Name(floor->bound))) : Cell(),
                         summary.p50 * 1e3,
                         summary.p90 * 1e3,
                         summary.p99 * 1e3,
                         limits.read_bandwidth / 1e9,
                         Tops(limits.f32),
                         Tops(limits.bf16),
                         Tops(limits.int8),
                         Tops(limits.int4),
                         is_prompt ? Cell() : Cell(TotalRate(run, measured.times)),
                         static_cast<int64_t>(summary.count),
                         RepeatsMs(run, measured.times),
                         Totals(measured.times),
                         loaded.model->load_seconds,
                         static_cast<int64_t>(loaded.model->weight_bytes()),
                         loaded.peak_bytes});
  if (!floor) return;
  const std::string what = is_prompt ? fmt::format("prompt of {}", run.shape.prompt_tokens)
                                     : fmt::format("{} x {}", run.name, run.shape.sequences);
  report.bars.push_back({fmt::format("{} {}", loaded.variant.label, what),
                         floor->seconds / summary.p50,
                         fmt::format("{:.1f} of {:.1f} tok/s, {}", tokens / summary.p50,
                                     tokens / floor->seconds, Name(floor->bound))});
}

Status MeasureRun(LoadedVariant& loaded, const MicroRun& run, const ModelBenchOptions& options,
                  VariantRuns& runs, Report& report) {
  if (!Fits(loaded, run.shape, report)) return OkStatus();
  RunResult measured;
  const std::string what =
      fmt::format("{} of {} in, {} sequence{}", run.name, run.shape.prompt_tokens,
                  run.shape.sequences, run.shape.sequences == 1 ? "" : "s");
  const LimitsSample before = SampleLimits(loaded, options.bandwidth_bytes);
  DRAY_ASSIGN_OR_RETURN(measured.times,
                        runs.Repeat(loaded, what, run.shape, measured.kv_token_bytes));
  measured.limits = Better(before, SampleLimits(loaded, options.bandwidth_bytes));
  AddRow(loaded, run, measured, report);
  return OkStatus();
}

}  // namespace

Report MeasureLimits(int num_threads, int64_t bandwidth_bytes) {
  const LimitsSample limits = MachineLimits(num_threads, {}, bandwidth_bytes).Sample();
  Report report;
  report.title = "What this machine allows";
  report.facts.emplace_back("machine", CpuModelName());
  report.columns = {{"threads", "threads"},         {"read_gb_per_second", "read GB/s"},
                    {"f32_tops", "f32 TOP/s", 2},   {"bf16_tops", "bf16 TOP/s", 2},
                    {"int8_tops", "int8 TOP/s", 2}, {"int4_tops", "int4 TOP/s", 2}};
  const int64_t threads = num_threads > 0 ? num_threads : UsableCpuCount();
  report.rows.push_back({threads, limits.read_bandwidth / 1e9, Tops(limits.f32), Tops(limits.bf16),
                         Tops(limits.int8), Tops(limits.int4)});
  return report;
}

Result<Report> RunMicro(const ModelBenchOptions& options) {
  const std::vector<MicroRun> plan = PlanRuns(options);
  double cost = 0;
  for (const MicroRun& run : plan) cost += CostOfRun(run.shape);
  VariantRuns runs(options, cost);
  Report report;
  report.title = "Micro-runs, beside what this machine allows";
  report.columns = Columns();
  report.bars_title = "Achieved, of what the machine allowed in the same minute";
  const Status status =
      runs.ForEach(report, Measured::kAnswers, [&](LoadedVariant& loaded) -> Status {
        for (const MicroRun& run : plan) {
          DRAY_RETURN_IF_ERROR(MeasureRun(loaded, run, options, runs, report));
        }
        if (loaded.model->description.config.encoder) {
          report.notes.push_back(
              fmt::format("{}: encoder and decoder compute different rows: no limit is given",
                          loaded.variant.label));
        }
        if (loaded.model->launcher == nullptr) {
          report.notes.push_back(fmt::format("{}: peak memory {:.2f} GB", loaded.variant.label,
                                             static_cast<double>(loaded.peak_bytes) / 1e9));
        } else {
          report.notes.push_back(
              fmt::format("{}: the ranks are other processes, whose weights and memory are not "
                          "counted here: no "
                          "limit is given, and the peak memory is that of this process",
                          loaded.variant.label));
        }
        return OkStatus();
      });
  DRAY_RETURN_IF_ERROR(status);
  DRAY_RETURN_IF_ERROR(CheckNotEmpty(report));
  report.notes.push_back(
      "The limit is the larger of two times: that of the bytes which a pass must read, at the "
      "machine's read bandwidth, and that of its arithmetic, at the machine's peak. p50, p90 and "
      "p99 are of prompts, or of single steps.");
  return report;
}

}  // namespace dray::bench
