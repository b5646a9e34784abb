// Is a model slower if its weights are a mapped file? The same shape three times, in one process: with the artifact's
// mapping, with a copy of it in huge pages, and with weights that were packed into memory (random ones). The three
// take turns in each round, in changing order, with a prompt and with decoding.
//
//   mapped_bench ARTIFACT [--prompt 128] [--new 33] [--rounds 7] [--threads N]
#include <fmt/format.h>

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "artifact/placement/background_copy.h"
#include "bench/machine_limits.h"
#include "bench/model_run.h"
#include "bench/statistics.h"
#include "cli/flags/flags.h"
#include "value_of.h"

namespace dray::bench {
namespace {

struct Options {
  std::string artifact;
  int64_t prompt_tokens = 128;
  int64_t new_tokens = 33;
  int rounds = 7;
  int threads = 0;
};

// One way to have the weights in memory. Rates are tokens a second.
struct Place {
  std::string name;
  std::unique_ptr<engine::LoadedModel> model;
  std::unique_ptr<TimedEngine> engine;
  std::vector<double> prompt_rates = {};
  std::vector<double> decode_rates = {};
};

class Comparison {
 public:
  explicit Comparison(const Options& options) : options_(options) {
    engine::LoadModelOptions load;
    load.model_dir = options.artifact;
    load.backend_options.cpu.num_threads = options.threads;
    load.artifact_memory = engine::ArtifactMemory::kMap;
    auto mapped = ValueOf(engine::LoadModel(load));
    const double huge = artifact::HugePageShare(*mapped->ranks.front().artifact);
    load.artifact_memory = engine::ArtifactMemory::kCopy;
    auto copied = ValueOf(engine::LoadModel(load));
    copied->copy->Wait();
    load.load_format = engine::LoadFormat::kDummy;
    load.format = mapped->format;
    load.table_format = mapped->table_format;
    auto packed = ValueOf(engine::LoadModel(load));
    Add(fmt::format("mapped, {:.0f} % in huge pages", 100 * huge), std::move(mapped));
    Add("copied", std::move(copied));
    Add("packed", std::move(packed));
  }

  void Measure() {
    for (Place& place : places_) ValueOf(place.engine->Run(1, nullptr));  // touches all memory
    for (int round = 0; round < options_.rounds; ++round) {
      for (size_t i = 0; i < places_.size(); ++i) {
        Run(places_[(i + static_cast<size_t>(round)) % places_.size()]);
      }
    }
  }

  void Print() const {
    const Place& packed = places_.back();
    fmt::print("{}: tokens/s, medians; and the median of the ratios to packed weights in a round\n",
               options_.artifact);
    for (const Place& place : places_) {
      fmt::print("  {:<28} prompt {:8.1f} {:5.3f}   decode {:7.2f} {:5.3f}\n", place.name,
                 Median(place.prompt_rates), Ratio(place.prompt_rates, packed.prompt_rates),
                 Median(place.decode_rates), Ratio(place.decode_rates, packed.decode_rates));
    }
  }

 private:
  void Add(std::string name, std::unique_ptr<engine::LoadedModel> model) {
    const RunShape shape = {1, options_.prompt_tokens, options_.new_tokens};
    auto engine = std::make_unique<TimedEngine>(ValueOf(TimedEngine::Make(
        *model,
        {.max_sequences = 1, .max_context_tokens = options_.prompt_tokens + options_.new_tokens},
        shape)));
    places_.push_back({std::move(name), std::move(model), std::move(engine)});
  }

  void Run(Place& place) const {
    const RunTimes times = ValueOf(place.engine->Run(1, nullptr));
    place.prompt_rates.push_back(static_cast<double>(options_.prompt_tokens) /
                                 times.prompt_seconds);
    place.decode_rates.push_back(1 / Median(times.decode_steps));
  }

  static double Ratio(const std::vector<double>& rates, const std::vector<double>& others) {
    std::vector<double> ratios;
    for (size_t i = 0; i < rates.size(); ++i) ratios.push_back(rates[i] / others[i]);
    return Median(ratios);
  }

  const Options& options_;
  std::vector<Place> places_;
};

int Run(int argc, char** argv) {
  Options options;
  const auto exit_code = cli::ParseFlags(
      "Speed of mapped, copied and packed weights",
      {{.names = "artifact",
        .target = &options.artifact,
        .help = "Its folder",
        .is_required = true},
       {.names = "--prompt", .target = &options.prompt_tokens, .help = "Tokens of the prompt"},
       {.names = "--new", .target = &options.new_tokens, .help = "New tokens"},
       {.names = "--rounds", .target = &options.rounds, .help = "Rounds of each"},
       {.names = "--threads", .target = &options.threads, .help = "0: all"}},
      argc, argv);
  if (exit_code) return *exit_code;
  Comparison comparison(options);
  comparison.Measure();
  comparison.Print();
  return 0;
}

}  // namespace
}  // namespace dray::bench

int main(int argc, char** argv) { return dray::bench::GuardedMain(argc, argv, dray::bench::Run); }
