// How near does `dray plan` come? For each tensor-parallel degree it predicts memory, prompt and
// decoding of a shape on this machine, and measures them with random weights. Limits are measured
// right before and after each prompt, and what products read between any two tokens, so that a machine whose speed
// changes all the time does not look like a wrong prediction.
//
//   plan_bench MODEL_DIR [--dtype int8] [--threads N] [--degrees 1,2] [--prompt 128] [--new 33]
//              [--rounds 5]
#include <fmt/format.h>
#include <malloc.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/machine/cpu_info.h"
#include "base/machine/memory_info.h"
#include "base/machine/process_usage.h"
#include "bench/machine/product_bandwidth.h"
#include "bench/machine_limits.h"
#include "bench/model_run.h"
#include "bench/statistics.h"
#include "cli/flags/flags.h"
#include "engine/runner/cache_size.h"
#include "plan/devices/this_machine.h"
#include "plan/planner.h"
#include "plan/shape/open_shape.h"
#include "settings/number_formats.h"
#include "value_of.h"

namespace dray::bench {
namespace {

constexpr int64_t kLimitBytes = int64_t{256} << 20;

struct Options {
  std::string model_dir;
  std::string dtype = "int8";
  int threads = 0;
  std::vector<int64_t> degrees = {1, 2};
  int64_t prompt_tokens = 128;
  int64_t new_tokens = 33;
  int rounds = 5;
};

// Predicted and measured figures of one degree: times of each prompt and of each token.
struct Comparison {
  double weights = 0, predicted_weights = 0;
  double cache = 0, predicted_cache = 0;
  double resident = 0, predicted_resident = 0;
  std::vector<double> prompt, predicted_prompt;
  std::vector<double> decode, predicted_decode;
};

class Comparer {
 public:
  explicit Comparer(const Options& options)
      : options_(options),
        shape_(ValueOf(plan::OpenShape(options.model_dir))),
        format_(FormatOf(options.dtype)),
        limits_(options.threads, {}, kLimitBytes),
        products_(ValueOf(ProductBandwidth::Make(options.threads, format_, kLimitBytes))),
        sums_(ValueOf(plan::MeasureSums())) {}

  Comparison Compare(int64_t degree) {
    Comparison result;
    // What the run of another degree has freed would count as there before.
    ::malloc_trim(0);
    const double before = ResidentBytes();
    const auto model = Load(degree);
    const plan::PlanRow::Figures planned = Predict(Figures(), degree);
    result.weights = static_cast<double>(model->weight_bytes());
    result.predicted_weights = planned.total_weight_bytes;
    const auto ranks = static_cast<double>(degree);
    result.predicted_cache = ranks * planned.memory.cache;
    result.cache = CacheBytes(*model);
    TimedEngine answers = Engine(*model, options_.new_tokens);
    Time(answers);  // touches all memory
    result.resident = ResidentBytes() - before;
    TimedEngine prompts = Engine(*model, 1);
    for (int round = 0; round < options_.rounds; ++round) {
      sums_ = ValueOf(plan::MeasureSums());
      AddPrompt(degree, prompts, result);
      AddTokens(degree, answers, result);
    }
    result.predicted_resident =
        result.predicted_weights + result.predicted_cache + ranks * planned.memory.activations;
    return result;
  }

 private:
  std::unique_ptr<engine::LoadedModel> Load(int64_t degree) const {
    return ValueOf(engine::LoadModel({.model_dir = options_.model_dir,
                                      .format = format_,
                                      .tensor_parallel_degree = degree,
                                      .backend_options = {.cpu = {.num_threads = options_.threads}},
                                      .load_format = engine::LoadFormat::kDummy}));
  }

  // Steps are as long as the prompt, so that it touches all of their memory.
  engine::EngineOptions EngineOptionsOf(int64_t new_tokens) const {
    return {.max_batch_tokens = options_.prompt_tokens,
            .max_prefill_chunk_tokens = options_.prompt_tokens,
            .max_sequences = 1,
            .max_context_tokens = options_.prompt_tokens + new_tokens};
  }

  TimedEngine Engine(engine::LoadedModel& model, int64_t new_tokens) const {
    return ValueOf(TimedEngine::Make(model, EngineOptionsOf(new_tokens),
                                     {1, options_.prompt_tokens, new_tokens}));
  }

  static double ResidentBytes() { return static_cast<double>(MeasureProcess().resident_bytes); }

  double CacheBytes(const engine::LoadedModel& model) const {
    const auto size = ValueOf(engine::ChooseCacheSize(model, EngineOptionsOf(options_.new_tokens)));
    return static_cast<double>(size.spec.num_blocks * model.BlockBytes(size.spec));
  }

  static RunTimes Time(TimedEngine& engine) { return ValueOf(engine.Run(1, nullptr)); }

  static kernels::WeightForm FormatOf(const std::string& dtype) {
    settings::WeightDType format;
    const Status status = settings::SetWeightDType(format, dtype);
    if (status.ok() && format) return *format;
    fmt::print(stderr, "plan_bench: --dtype {}: {}\n", dtype, status.message());
    std::exit(1);
  }

  plan::MachineFigures Figures() {
    return {.limits = limits_.TypicalSample(),
            .product_bandwidth = ValueOf(products_.MeasureBest()),
            .sums = sums_};
  }

  plan::PlanRow::Figures Predict(const plan::MachineFigures& figures, int64_t degree) const {
    plan::PlanOptions options;
    options.format = format_;
    options.workload.prompt_tokens = options_.prompt_tokens;
    options.workload.new_tokens = options_.new_tokens;
    options.workload.step_tokens = options_.prompt_tokens;
    options.workload.context_tokens = options_.prompt_tokens + options_.new_tokens;
    options.tensor_degrees = {degree};
    options.pipeline_degrees = {1};
    const int64_t processors = options_.threads > 0 ? options_.threads : UsableCpuCount();
    plan::Machines machines;
    machines.hosts = {plan::MachineWith(figures, processors)};
    const plan::Plan made = ValueOf(MakePlan(*shape_, machines, options));
    DRAY_CHECK(made.rows.front().figures.has_value());
    return *made.rows.front().figures;
  }

  // The mean of two moments, for what runs between them.
  static plan::MachineFigures Between(plan::MachineFigures a, const plan::MachineFigures& b) {
    const auto mean = [](double x, double y) { return (x + y) / 2; };
    a.limits = {.read_bandwidth = mean(a.limits.read_bandwidth, b.limits.read_bandwidth),
                .f32 = mean(a.limits.f32, b.limits.f32),
                .bf16 = mean(a.limits.bf16, b.limits.bf16),
                .int8 = mean(a.limits.int8, b.limits.int8),
                .int4 = mean(a.limits.int4, b.limits.int4)};
    a.product_bandwidth = mean(a.product_bandwidth, b.product_bandwidth);
    return a;
  }

  void AddPrompt(int64_t degree, TimedEngine& engine, Comparison& result) {
    const plan::MachineFigures before = Figures();
    result.prompt.push_back(Time(engine).prompt_seconds);
    result.predicted_prompt.push_back(
        Predict(Between(before, Figures()), degree).latency.prompt.seconds);
  }

  // Measures between the steps, which the engine does not count as its own time.
  void AddTokens(int64_t degree, TimedEngine& engine, Comparison& result) {
    plan::MachineFigures figures = Figures();
    std::vector<double> bandwidths;
    const auto read = [&] {
      bandwidths.push_back(ValueOf(products_.Measure()));
      return false;
    };
    const RunTimes times = ValueOf(engine.Run(1, read));
    // The last bandwidth is that after the last step.
    const size_t first = bandwidths.size() - times.decode_steps.size();
    for (size_t i = 0; i < times.decode_steps.size(); ++i) {
      figures.product_bandwidth = (bandwidths[first + i - 1] + bandwidths[first + i]) / 2;
      result.decode.push_back(times.decode_steps[i]);
      result.predicted_decode.push_back(Predict(figures, degree).latency.decode.seconds);
    }
  }

  const Options& options_;
  std::unique_ptr<plan::ModelShape> shape_;
  const kernels::WeightForm format_;
  MachineLimits limits_;
  ProductBandwidth products_;
  plan::Link sums_;
};

void Print(const std::string& what, double predicted, double measured, const char* unit) {
  fmt::print("  {:<22} {:>10.4g} {:>10.4g} {:<3} {:>+7.1f} %\n", what, predicted, measured, unit,
             100 * (predicted / measured - 1));
}

// Of the fastest tenth, in which the machine did nothing else, and of the median.
void PrintTimes(const std::string& what, const std::vector<double>& predicted,
                const std::vector<double>& measured) {
  for (const auto& [name, share] : {std::pair{"fastest tenth", 0.1}, {"median", 0.5}}) {
    Print(fmt::format("{}, {}", what, name), 1e3 * Percentile(predicted, share),
          1e3 * Percentile(measured, share), "ms");
  }
}

int Run(int argc, char** argv) {
  Options options;
  const auto exit_code = cli::ParseFlags(
      "Predicted beside measured figures of a shape on this machine",
      {{.names = "model",
        .target = &options.model_dir,
        .help = "Folder with a config.json",
        .is_required = true},
       {.names = "--dtype", .target = &options.dtype, .help = "fp32, fp16, bf16, int8 or int4"},
       {.names = "--threads", .target = &options.threads, .help = "0: all"},
       {.names = "--degrees",
        .target = cli::CommaList{&options.degrees},
        .help = "Tensor-parallel degrees"},
       {.names = "--prompt", .target = &options.prompt_tokens, .help = "Tokens of the prompt"},
       {.names = "--new", .target = &options.new_tokens, .help = "New tokens"},
       {.names = "--rounds", .target = &options.rounds, .help = "Rounds of each degree"}},
      argc, argv);
  if (exit_code) return *exit_code;
  Comparer comparer(options);
  for (const int64_t degree : options.degrees) {
    const Comparison got = comparer.Compare(degree);
    fmt::print("{} {}, degree {}     predicted   measured     difference\n", options.model_dir,
               options.dtype, degree);
    Print("weights", got.predicted_weights / 1e6, got.weights / 1e6, "MB");
    Print("weights + cache", (got.predicted_weights + got.predicted_cache) / 1e6,
          (got.weights + got.cache) / 1e6, "MB");
    Print("resident", got.predicted_resident / 1e6, got.resident / 1e6, "MB");
    PrintTimes("prompt", got.predicted_prompt, got.prompt);
    PrintTimes("token", got.predicted_decode, got.decode);
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace
}  // namespace dray::bench

int main(int argc, char** argv) { return dray::bench::GuardedMain(argc, argv, dray::bench::Run); }
