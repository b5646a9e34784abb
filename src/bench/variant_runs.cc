#include "bench/variant_runs.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

#include "base/machine/memory_info.h"
#include "bench/text_run.h"

namespace dray::bench {
namespace {

// With 8-bit weights that come from memory, a decode step takes about as long as this many prompt
// tokens.
constexpr double kStepCost = 16;
constexpr double kLoadCost = 500;

// "1.35 G", "12.3 M".
std::string Scaled(double value) {
  return value >= 1e9 ? fmt::format("{:.2f} G", value / 1e9) : fmt::format("{:.2f} M", value / 1e6);
}

Status CheckDoes(Measured measured, const model::ModelConfig& config) {
  const bool is_encoder = config.kind == model::ModelKind::kEncoder;
  if (is_encoder == (measured == Measured::kTextStates)) return OkStatus();
  return {StatusCode::kUnsupported,
          is_encoder ? fmt::format("{} models generate no text: measure them by --texts or "
                                   "--mixed-texts",
                                   config.family)
                     : fmt::format("{} models generate text, and --texts and --mixed-texts are for "
                                   "encoders: leave them out",
                                   config.family)};
}

}  // namespace

LimitsSample SampleLimits(const LoadedVariant& loaded, int64_t bytes) {
  return MachineLimits(loaded.variant.num_threads, loaded.model->ranks.front().backend->isa(),
                       bytes)
      .Sample();
}

LimitsSample Better(const LimitsSample& a, const LimitsSample& b) {
  return {std::max(a.read_bandwidth, b.read_bandwidth), std::max(a.f32, b.f32),
          std::max(a.bf16, b.bf16), std::max(a.int8, b.int8), std::max(a.int4, b.int4)};
}

double CostOfRun(const RunShape& shape) {
  const auto sequences = static_cast<double>(shape.sequences);
  return sequences * static_cast<double>(shape.prompt_tokens) +
         static_cast<double>(shape.new_tokens) * (kStepCost + sequences);
}

VariantRuns::VariantRuns(const ModelBenchOptions& options, double cost_of_a_variant)
    : options_(options),
      progress_(static_cast<double>(options.variants.size()) *
                    (kLoadCost + cost_of_a_variant * static_cast<double>(options.repeats + 1)),
                stderr) {}

Status VariantRuns::ForEach(Report& report, Measured measured,
                            const std::function<Status(LoadedVariant&)>& body) {
  for (const Variant& variant : options_.variants) {
    progress_.Begin(fmt::format("{}: loading", variant.label), kLoadCost);
    ResetPeakMemory();
    auto model = variant.load();
    if (!model.ok()) return model.status().WithPrefix(variant.label);
    DRAY_RETURN_IF_ERROR(CheckDoes(measured, (*model)->description.config));
    // What a server has after a few seconds is what is measured.
    if ((*model)->copy != nullptr) (*model)->copy->Wait();
    LoadedVariant loaded{variant, std::move(model).value(), PeakMemoryBytes()};
    AddModelFacts(loaded, report);
    const Status status = body(loaded);
    if (status.code() == StatusCode::kCancelled) {
      report.completeness = Report::Completeness::kInterrupted;
      return OkStatus();
    }
    DRAY_RETURN_IF_ERROR(status);
  }
  return OkStatus();
}

Result<std::vector<RunTimes>> VariantRuns::Repeat(LoadedVariant& loaded, const std::string& what,
                                                  const RunShape& shape, double& kv_token_bytes) {
  DRAY_ASSIGN_OR_RETURN(auto runner,
                        TimedEngine::Make(*loaded.model, loaded.variant.engine, shape));
  kv_token_bytes = runner.kv_token_bytes();
  ResetPeakMemory();
  std::vector<RunTimes> all;
  for (int64_t i = 0; i <= options_.repeats; ++i) {
    const std::string which =
        i == 0 ? "warming up" : fmt::format("run {} of {}", i, options_.repeats);
    progress_.Begin(fmt::format("{}: {}, {}", loaded.variant.label, what, which), CostOfRun(shape));
    DRAY_ASSIGN_OR_RETURN(auto times,
                          runner.Run(options_.seed + static_cast<uint64_t>(i), options_.stop));
    if (i > 0) all.push_back(std::move(times));
  }
  loaded.peak_bytes = std::max(loaded.peak_bytes, PeakMemoryBytes());
  return all;
}

Result<std::vector<std::vector<double>>> VariantRuns::RepeatTexts(
    LoadedVariant& loaded, const std::vector<int64_t>& lengths, DType& kv_dtype) {
  DRAY_ASSIGN_OR_RETURN(auto runner,
                        TimedEncoder::Make(*loaded.model, loaded.variant.encoder, lengths));
  kv_dtype = runner.kv_dtype();
  ResetPeakMemory();
  const auto tokens = std::accumulate(lengths.begin(), lengths.end(), int64_t{0});
  std::vector<std::vector<double>> all;
  for (int64_t i = 0; i <= options_.repeats; ++i) {
    const std::string which =
        i == 0 ? "warming up" : fmt::format("run {} of {}", i, options_.repeats);
    progress_.Begin(fmt::format("{}: {} texts, {} tokens, {}", loaded.variant.label, lengths.size(),
                                tokens, which),
                    static_cast<double>(tokens));
    DRAY_ASSIGN_OR_RETURN(auto times,
                          runner.Run(options_.seed + static_cast<uint64_t>(i), options_.stop));
    if (i > 0) all.push_back(std::move(times));
  }
  loaded.peak_bytes = std::max(loaded.peak_bytes, PeakMemoryBytes());
  return all;
}

std::vector<int64_t> FittingOutputs(const LoadedVariant& loaded, int64_t input,
                                    const std::vector<int64_t>& outputs, Report& report) {
  const int64_t most = loaded.model->description.config.stack.max_positions;
  std::vector<int64_t> fitting;
  std::vector<int64_t> left_out;
  for (const int64_t output : outputs) {
    (input + output <= most ? fitting : left_out).push_back(output);
  }
  if (left_out.empty()) return fitting;
  const std::string note = fmt::format(
      "{} tokens in and {} out are left out, for this model's positions end at {}: choose smaller "
      "ones by --prompt, --input and --output",
      input, fmt::join(left_out, ", "), most);
  if (std::find(report.notes.begin(), report.notes.end(), note) == report.notes.end()) {
    report.notes.push_back(note);
  }
  return fitting;
}

bool Fits(const LoadedVariant& loaded, const RunShape& shape, Report& report) {
  return !FittingOutputs(loaded, shape.prompt_tokens, {shape.new_tokens}, report).empty();
}

Status CheckNotEmpty(const Report& report) {
  const bool complete = report.completeness == Report::Completeness::kComplete;
  if (!report.rows.empty() || !complete) return OkStatus();
  return {StatusCode::kInvalidArgument,
          report.notes.empty() ? "nothing was measured" : report.notes.front()};
}

void AddModelFacts(const LoadedVariant& loaded, Report& report) {
  const engine::LoadedModel& model = *loaded.model;
  if (report.facts.empty()) {
    report.facts.emplace_back("machine",
                              fmt::format("{}, {}", CpuModelName(), model.DescribeBackends()));
  }
  report.facts.emplace_back(
      loaded.variant.label,
      fmt::format("{} ({}), {} parameters in {}B as {}, loaded in {:.2f} s",
                  model.description.config.family, model.checkpoint_format,
                  Scaled(static_cast<double>(model.description.num_parameters())),
                  Scaled(static_cast<double>(model.weight_bytes())), Name(model.format),
                  model.load_seconds));
}

}  // namespace dray::bench
