// At which rate does a model that does not fit into memory read what exceeds its limit, beside what fio reads from the
// same disk? Rounds of fio and of decoding take turns, because the disk of a shared machine changes its rate. Each
// round of decoding is compared with the mean of the two rounds of fio around it.
//
//   offload_bench ARTIFACT [--share 0.5] [--new 8] [--rounds 5] [--threads N]
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "artifact/manifest.h"
#include "base/machine/memory_info.h"
#include "bench/machine_limits.h"
#include "bench/model_run.h"
#include "bench/statistics.h"
#include "cli/flags/flags.h"
#include "disk.h"
#include "value_of.h"

namespace dray::bench {
namespace {

constexpr int kFioSeconds = 4;
constexpr int64_t kPromptTokens = 3;

struct Options {
  std::string artifact;
  double share = 0.5;
  int64_t new_tokens = 8;
  int rounds = 5;
  int threads = 0;
};

// Bytes that all stages have read so far.
int64_t BytesRead(const engine::LoadedModel& model) {
  int64_t bytes = 0;
  for (const auto& stream : model.streams) bytes += stream->bytes_read();
  return bytes;
}

class Rounds {
 public:
  explicit Rounds(const Options& options)
      : options_(options),
        data_(std::filesystem::path(options.artifact) / artifact::kDataName),
        size_(static_cast<double>(std::filesystem::file_size(data_))) {
    engine::LoadModelOptions load;
    load.model_dir = options.artifact;
    load.max_memory_bytes = static_cast<int64_t>(options.share * size_);
    load.verify_artifact = false;
    load.backend_options.cpu.num_threads = options.threads;
    model_ = ValueOf(engine::LoadModel(load));
    limit_ = static_cast<double>(load.max_memory_bytes);
    engine_ = std::make_unique<TimedEngine>(ValueOf(TimedEngine::Make(
        *model_, {.max_sequences = 1, .max_context_tokens = kPromptTokens + options.new_tokens},
        {1, kPromptTokens, options.new_tokens})));
  }

  void Measure() {
    double before = ValueOf(FioRate(data_, FioTarget::kBuffer, kFioSeconds));
    for (int round = 0; round < options_.rounds; ++round) {
      const Rates dray = Decode();
      const double after = ValueOf(FioRate(data_, FioTarget::kBuffer, kFioSeconds));
      const double fio = (before + after) / 2;
      read_shares_.push_back(dray.read / fio);
      excess_shares_.push_back(dray.excess / fio);
      fmt::print("fio {:.0f} and {:.0f} MB/s; dray {:.0f} MB/s read, {:.0f} of the excess\n",
                 before / 1e6, after / 1e6, dray.read / 1e6, dray.excess / 1e6);
      std::fflush(stdout);
      before = after;
    }
  }

  void Print() const {
    fmt::print(
        "{}, {:.0f} of {:.0f} MB in memory: of fio's rate {:.2f} read, {:.2f} of the excess "
        "(medians); resident at most {:.0f} MB\n",
        options_.artifact, limit_ / 1e6, size_ / 1e6, Median(read_shares_), Median(excess_shares_),
        static_cast<double>(PeakMemoryBytes()) / 1e6);
  }

 private:
  // Bytes a second: all that were read, and those that exceed the limit, which every step needs.
  struct Rates {
    double read = 0;
    double excess = 0;
  };

  Rates Decode() {
    const int64_t first = BytesRead(*model_);
    const Stopwatch watch;
    ValueOf(engine_->Run(1, nullptr));
    const double seconds = watch.Seconds();
    // The first step reads the prompt.
    const auto steps = static_cast<double>(options_.new_tokens);
    return {static_cast<double>(BytesRead(*model_) - first) / seconds,
            (size_ - limit_) * steps / seconds};
  }

  const Options& options_;
  const std::filesystem::path data_;
  const double size_;
  double limit_ = 0;
  std::unique_ptr<engine::LoadedModel> model_;
  std::unique_ptr<TimedEngine> engine_;
  std::vector<double> read_shares_, excess_shares_;
};

int Run(int argc, char** argv) {
  Options options;
  const auto exit_code = cli::ParseFlags(
      "Decoding of a model that does not fit into memory, beside fio",
      {{.names = "artifact",
        .target = &options.artifact,
        .help = "Its folder",
        .is_required = true},
       {.names = "--share",
        .target = &options.share,
        .help = "Of the weights that may be in memory",
        .shows_default = true},
       {.names = "--new", .target = &options.new_tokens, .help = "Tokens of a round"},
       {.names = "--rounds", .target = &options.rounds, .help = "Rounds of fio and dray"},
       {.names = "--threads", .target = &options.threads, .help = "0: all"}},
      argc, argv);
  if (exit_code) return *exit_code;
  Rounds rounds(options);
  rounds.Measure();
  rounds.Print();
  return 0;
}

}  // namespace
}  // namespace dray::bench

int main(int argc, char** argv) { return dray::bench::GuardedMain(argc, argv, dray::bench::Run); }
