// How fast a whole model is: load, prompt, decode at several numbers of sequences, beside the
// machine's read bandwidth of the same minute.
//
//   model_bench MODEL_DIR [--threads N] [--dtype bf16] [--prompt 512] [--new 64] [--sequences 1,8]
#include <fmt/format.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "bench/machine_limits.h"
#include "engine/cache_size.h"
#include "engine/engine_core.h"

namespace dray::bench {
namespace {

using Clock = std::chrono::steady_clock;

// Counts tokens and notes when the first and last came.
class Counter : public engine::EventSink {
 public:
  void OnEvent(engine::Event event) override {
    if (!std::holds_alternative<engine::TokenEvent>(event)) return;
    if (count++ == 0) first = Clock::now();
    last = Clock::now();
  }
  int64_t count = 0;
  Clock::time_point first;
  Clock::time_point last;
};

int64_t PeakResidentBytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * 1024;
}

// Peak memory against what is meant to be there: `bytes` of weights, keys and values.
std::string DescribePeak(int64_t bytes) {
  const int64_t peak = PeakResidentBytes();
  return fmt::format("peak resident {:.3f} GB = {:.3f} of it, {:+.0f} MiB",
                     static_cast<double>(peak) / 1e9,
                     static_cast<double>(peak) / static_cast<double>(bytes),
                     static_cast<double>(peak - bytes) / (1 << 20));
}

struct Options {
  std::string model_dir;
  std::string dtype;
  std::string isa;
  int threads = 0;
  int64_t prompt_tokens = 512;
  int64_t new_tokens = 64;
  std::vector<int64_t> sequences = {1, 8};
  bool peak = false;
};

// The weights that one decode step streams: all but the embedding table, which is read by rows,
// unless the head is tied to it.
double StreamedBytes(const engine::LoadedModel& model) {
  double bytes = 0;
  model.weights.ForEach([&](model::Slot slot, int64_t, int64_t, size_t size) {
    const bool table = slot == model::Slot::kTokenEmbedding && !model.description.config.tied_head;
    if (!table && slot != model::Slot::kPositionEmbedding) bytes += static_cast<double>(size);
  });
  return bytes;
}

engine::GenerateRequest RandomRequest(const engine::EngineCore& core, const Options& options,
                                      uint64_t seed) {
  std::mt19937_64 random(seed);
  engine::GenerateRequest request;
  for (int64_t i = 0; i < options.prompt_tokens; ++i) {
    request.prompt.push_back(
        static_cast<int32_t>(random() % static_cast<uint64_t>(core.limits().vocab_size)));
  }
  request.params.max_new_tokens = options.new_tokens;
  request.params.ignore_eos = true;
  return request;
}

void MeasureRun(engine::LoadedModel& model, const Options& options, int64_t sequences,
                MachineLimits& machine) {
  const int64_t context = options.prompt_tokens + options.new_tokens;
  auto core = engine::EngineCore::Make(
      model, {.max_sequences = std::max<int64_t>(sequences, 1), .max_context_tokens = context});
  if (!core.ok()) {
    fmt::print("{}\n", core.status().message());
    return;
  }
  std::vector<std::shared_ptr<Counter>> counters;
  const auto start = Clock::now();
  for (int64_t i = 0; i < sequences; ++i) {
    counters.push_back(std::make_shared<Counter>());
    (*core)->Add(RequestId(static_cast<uint64_t>(i + 1)),
                 RandomRequest(**core, options, static_cast<uint64_t>(i)), counters.back());
  }
  while ((*core)->Step()) {
  }
  // The prompts are read one after another; from the last first token on all sequences decode
  // together.
  const auto prompts_done =
      (*std::max_element(counters.begin(), counters.end(), [](const auto& a, const auto& b) {
        return a->first < b->first;
      }))->first;
  const double prompt_seconds = std::chrono::duration<double>(prompts_done - start).count();
  const double decode_seconds =
      std::chrono::duration<double>(counters.back()->last - prompts_done).count();
  const auto steps = static_cast<double>(options.new_tokens - 1);
  const double bandwidth = machine.ReadBandwidth();
  const double achieved = StreamedBytes(model) * steps / decode_seconds;
  fmt::print(
      "{:>3} sequences: prompt {:8.1f} tok/s, decode {:7.2f} tok/s, weights read at {:5.1f} GB/s = "
      "{:.0f} % of {:.1f}\n",
      sequences, static_cast<double>(sequences * options.prompt_tokens) / prompt_seconds,
      static_cast<double>(sequences) * steps / decode_seconds, achieved / 1e9,
      100 * achieved / bandwidth, bandwidth / 1e9);
}

// All sequences at once, then the peak.
int ReportServingPeak(engine::LoadedModel& model, const Options& options, int64_t weight_bytes) {
  for (const int64_t sequences : options.sequences) {
    const engine::EngineOptions engine_options = {
        .max_sequences = std::max<int64_t>(sequences, 1),
        .max_context_tokens = options.prompt_tokens + options.new_tokens};
    auto core = engine::EngineCore::Make(model, engine_options);
    const auto size = engine::ChooseCacheSize(model, engine_options);
    if (!core.ok() || !size.ok()) return 1;
    const int64_t cache_bytes =
        size->spec.num_blocks * model::KvCache::BlockBytes(model.description.config, size->spec);
    for (int64_t i = 0; i < sequences; ++i) {
      (*core)->Add(RequestId(static_cast<uint64_t>(i + 1)),
                   RandomRequest(**core, options, static_cast<uint64_t>(i)),
                   std::make_shared<Counter>());
    }
    while ((*core)->Step()) {
    }
    fmt::print("{:>3} sequences: with {:.3f} GB of keys and values {}\n", sequences,
               static_cast<double>(cache_bytes) / 1e9, DescribePeak(weight_bytes + cache_bytes));
  }
  return 0;
}

int Run(const Options& options) {
  engine::LoadModelOptions load{
      .model_dir = options.model_dir, .num_threads = options.threads, .isa = options.isa};
  if (options.dtype == "f32") load.format = kernels::WeightFormat::kF32;
  if (options.dtype == "bf16") load.format = kernels::WeightFormat::kBF16;
  if (options.dtype == "int8") load.format = kernels::WeightFormat::kI8;
  if (options.dtype == "int4") load.format = kernels::WeightFormat::kI4;
  if (options.dtype == "f16") load.format = kernels::WeightFormat::kF16;
  const auto start = Clock::now();
  auto model = engine::LoadModel(load);
  if (!model.ok()) {
    fmt::print(stderr, "{}\n", model.status().ToString());
    return 1;
  }
  fmt::print("{}: {} parameters, {:.2f} GB packed, {}\n", options.model_dir,
             (*model)->weights.num_parameters(),
             static_cast<double>((*model)->weights.size_bytes()) / 1e9,
             (*model)->backend->Describe());
  const auto weight_bytes = static_cast<int64_t>((*model)->weights.size_bytes());
  fmt::print("load {:.2f} s, weights {:.3f} GB, {}\n",
             std::chrono::duration<double>(Clock::now() - start).count(),
             static_cast<double>(weight_bytes) / 1e9, DescribePeak(weight_bytes));
  // Before the buffer of the machine's limits is there, which would hide the rest.
  if (options.peak) return ReportServingPeak(**model, options, weight_bytes);
  MachineLimits machine(options.threads);
  for (const int64_t sequences : options.sequences)
    MeasureRun(**model, options, sequences, machine);
  return 0;
}

}  // namespace
}  // namespace dray::bench

int main(int argc, char** argv) {
  CLI::App app("Load, prompt and decode speed of one model");
  dray::bench::Options options;
  app.add_option("model", options.model_dir, "Model directory")->required();
  app.add_option("--threads", options.threads, "Threads; 0: all processors");
  app.add_option("--dtype", options.dtype, "f32, bf16, f16, int8 or int4; default: as stored");
  app.add_option("--isa", options.isa, "portable, avx2, avx512 or avx512-bf16");
  app.add_option("--prompt", options.prompt_tokens, "Tokens of each prompt");
  app.add_option("--new", options.new_tokens, "New tokens of each sequence");
  app.add_option("--sequences", options.sequences, "Numbers of sequences")->delimiter(',');
  app.add_flag("--peak", options.peak, "Peak memory while serving instead of speeds");
  CLI11_PARSE(app, argc, argv);
  return dray::bench::Run(options);
}
