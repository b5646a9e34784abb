// How long does it take from the start of `dray generate` to its first token? Of an artifact with all bytes verified
// and without, at each tensor-parallel degree; of a checkpoint with the form of weights that --dtype asks for. The
// variants take turns in each round, and with them the system's new memory, which copies of weights need. With --cold the model's files are taken out of memory before each run, and
// fio reads the largest of them before and after it.
//
//   first_token_bench MODEL [--dtype int8] [--degrees 1,2] [--rounds 5] [--prompt 16] [--threads N] [--cold]
//                     [--program build/release/dray]
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "artifact/manifest.h"
#include "base/machine/cpu_info.h"
#include "bench/machine_limits.h"
#include "bench/statistics.h"
#include "cli/flags/flags.h"
#include "disk.h"
#include "fresh_memory.h"
#include "timed_command.h"

namespace dray::bench {
namespace {

constexpr int kFioSeconds = 3;
constexpr int64_t kFreshBytes = int64_t{512} << 20;

struct Options {
  std::string model;
  std::string program = "build/release/dray";
  std::string dtype;
  std::vector<int64_t> degrees = {1};
  int rounds = 5;
  int prompt_tokens = 16;
  int threads = 0;
  bool is_cold = false;
};

struct Variant {
  std::string name;
  std::vector<std::string> argv;
  std::vector<double> seconds = {};
  // Of the rates of fio (disk.h) that the runs reached.
  std::vector<double> fio_shares = {};
  std::vector<double> cache_shares = {};
};

std::vector<std::string> BaseCommand(const Options& options) {
  std::string prompt;
  for (int i = 0; i < options.prompt_tokens; ++i) prompt += "a ";
  std::vector<std::string> argv = {options.program,
                                   "generate",
                                   options.model,
                                   "--prompt",
                                   prompt,
                                   "--max-new-tokens",
                                   "1",
                                   "--threads",
                                   std::to_string(options.threads)};
  if (!options.dtype.empty()) argv.insert(argv.end(), {"--dtype", options.dtype});
  return argv;
}

std::vector<Variant> VariantsOf(const Options& options) {
  std::vector<Variant> variants;
  const bool is_artifact = artifact::IsArtifact(options.model);
  for (const int64_t degree : options.degrees) {
    for (const char* verify : {"true", "false"}) {
      if (!is_artifact && std::string_view(verify) == "false") continue;
      Variant variant = {fmt::format("degree {}", degree), BaseCommand(options)};
      if (is_artifact) {
        variant.name += std::string_view(verify) == "true" ? ", verified" : ", not verified";
        variant.argv.insert(variant.argv.end(), {"--verify-artifact", verify});
      }
      variant.argv.insert(variant.argv.end(), {"--tensor-parallel-degree", std::to_string(degree)});
      variants.push_back(std::move(variant));
    }
  }
  return variants;
}

class FirstTokens {
 public:
  explicit FirstTokens(const Options& options)
      : options_(options), files_(FilesOf(options.model)), variants_(VariantsOf(options)) {
    largest_ = *std::max_element(files_.begin(), files_.end(), [](const auto& a, const auto& b) {
      return std::filesystem::file_size(a) < std::filesystem::file_size(b);
    });
  }

  Status Measure() {
    if (!options_.is_cold) {
      // Brings the files into memory.
      DRAY_RETURN_IF_ERROR(TimeCommand(variants_.front().argv).status());
    }
    for (int round = 0; round < options_.rounds; ++round) {
      memory_rates_.push_back(FreshMemoryRate(kFreshBytes, UsableCpuCount()));
      for (Variant& variant : variants_) {
        DRAY_RETURN_IF_ERROR(options_.is_cold ? RunCold(variant) : Run(variant).status());
      }
    }
    return OkStatus();
  }

  void Print() const {
    const auto bytes = static_cast<double>(BytesOf(files_));
    fmt::print("{} {}, {:.0f} MB, {}: seconds to the first token\n", options_.model, options_.dtype,
               bytes / 1e6, options_.is_cold ? "cold" : "in memory");
    fmt::print("  the system gives new memory at {:.0f} MB/s ({:.0f} to {:.0f})\n",
               Median(memory_rates_) / 1e6, Percentile(memory_rates_, 0) / 1e6,
               Percentile(memory_rates_, 1) / 1e6);
    for (const Variant& variant : variants_) {
      const double median = Median(variant.seconds);
      fmt::print("  {:<26} median {:.3f} ({:.3f} to {:.3f}), {:.0f} MB/s", variant.name, median,
                 Percentile(variant.seconds, 0), Percentile(variant.seconds, 1),
                 bytes / median / 1e6);
      if (options_.is_cold) {
        fmt::print(
            ", of fio's rate {:.2f} ({:.2f} to {:.2f}), into the cache {:.2f} ({:.2f} to {:.2f})",
            Median(variant.fio_shares), Percentile(variant.fio_shares, 0),
            Percentile(variant.fio_shares, 1), Median(variant.cache_shares),
            Percentile(variant.cache_shares, 0), Percentile(variant.cache_shares, 1));
      }
      fmt::print("\n");
    }
  }

 private:
  Result<double> Run(Variant& variant) {
    DRAY_ASSIGN_OR_RETURN(const CommandTimes times, TimeCommand(variant.argv));
    variant.seconds.push_back(times.first_output_seconds);
    return times.first_output_seconds;
  }

  // The disk of a shared machine changes its rate, so the mean of before and after is what counts.
  Status RunCold(Variant& variant) {
    DRAY_ASSIGN_OR_RETURN(const double before, FioRate(largest_, FioTarget::kBuffer, kFioSeconds));
    DRAY_ASSIGN_OR_RETURN(const double cache_before, FioIntoCache());
    DRAY_RETURN_IF_ERROR(EvictAll());
    DRAY_ASSIGN_OR_RETURN(const double seconds, Run(variant));
    DRAY_ASSIGN_OR_RETURN(const double cache_after, FioIntoCache());
    DRAY_ASSIGN_OR_RETURN(const double after, FioRate(largest_, FioTarget::kBuffer, kFioSeconds));
    const double rate = static_cast<double>(BytesOf(files_)) / seconds;
    variant.fio_shares.push_back(rate / ((before + after) / 2));
    variant.cache_shares.push_back(rate / ((cache_before + cache_after) / 2));
    fmt::print(
        "  {:<26} {:.2f} s, {:.0f} MB/s; fio {:.0f} and {:.0f}, into the cache {:.0f} and "
        "{:.0f} MB/s\n",
        variant.name, seconds, rate / 1e6, before / 1e6, after / 1e6, cache_before / 1e6,
        cache_after / 1e6);
    std::fflush(stdout);
    return OkStatus();
  }

  Result<double> FioIntoCache() {
    DRAY_RETURN_IF_ERROR(EvictAll());
    return FioRate(largest_, FioTarget::kCache, kFioSeconds);
  }

  Status EvictAll() {
    DRAY_ASSIGN_OR_RETURN(const double stayed, Evict(files_));
    if (stayed > 0.01) {
      fmt::print(stderr, "{:.0f} % of the files stay in memory\n", 100 * stayed);
    }
    return OkStatus();
  }

  const Options& options_;
  const std::vector<std::filesystem::path> files_;
  std::filesystem::path largest_;
  std::vector<Variant> variants_;
  std::vector<double> memory_rates_;
};

int Run(int argc, char** argv) {
  Options options;
  const auto exit_code = cli::ParseFlags(
      "Process start to first token",
      {{.names = "model",
        .target = &options.model,
        .help = "Folder of an artifact or a checkpoint, with a tokenizer",
        .is_required = true},
       {.names = "--program", .target = &options.program, .help = "dray", .shows_default = true},
       {.names = "--dtype", .target = &options.dtype, .help = "Of a checkpoint: as of dray serve"},
       {.names = "--degrees",
        .target = cli::CommaList{&options.degrees},
        .help = "Tensor-parallel degrees"},
       {.names = "--rounds", .target = &options.rounds, .help = "Runs of each variant"},
       {.names = "--prompt", .target = &options.prompt_tokens, .help = "Words of the prompt"},
       {.names = "--threads", .target = &options.threads, .help = "0: all"},
       {.names = "--cold", .target = &options.is_cold, .help = "From the disk, beside fio"}},
      argc, argv);
  if (exit_code) return *exit_code;
  FirstTokens bench(options);
  const Status status = bench.Measure();
  if (!status.ok()) {
    fmt::print(stderr, "first_token_bench: {}\n", status.message());
    return 1;
  }
  bench.Print();
  return 0;
}

}  // namespace
}  // namespace dray::bench

int main(int argc, char** argv) { return dray::bench::GuardedMain(argc, argv, dray::bench::Run); }
