#include "cli/bench/bench_command.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ostream.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fstream>
#include <optional>
#include <ostream>
#include <utility>

#include "base/parse/parse_number.h"
#include "bench/model_bench.h"
#include "bench/report/html_report.h"
#include "cli/bench/bench_lists.h"
#include "cli/bench/bench_variants.h"

namespace dray::cli {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitInterrupted = 128 + SIGINT;
constexpr int64_t kMostTokens = 1 << 20;
constexpr int64_t kMostThreads = 1024;

std::atomic<bool> interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free);

// The first Ctrl-C ends the run after its current step. The second one ends the process.
void OnInterrupt(int signal) {
  interrupted = true;
  std::signal(signal, SIG_DFL);
}

using Mode = BenchArguments::Mode;
using Format = BenchArguments::Format;

Result<std::vector<bench::MicroKind>> ParseKinds(const std::string& text) {
  std::vector<bench::MicroKind> kinds;
  size_t begin = 0;
  while (begin <= text.size()) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const std::string name = text.substr(begin, end - begin);
    if (name == "prompt") {
      kinds.push_back(bench::MicroKind::kPrompt);
    } else if (name == "decode") {
      kinds.push_back(bench::MicroKind::kDecode);
    } else if (name == "batch") {
      kinds.push_back(bench::MicroKind::kBatch);
    } else {
      return Status(StatusCode::kInvalidArgument,
                    fmt::format("{}: it must be some of prompt, decode, batch", text));
    }
    begin = end + 1;
  }
  return kinds;
}

std::vector<int64_t> Or(const std::vector<int64_t>& values, const std::vector<int64_t>& defaults) {
  return values.empty() ? defaults : values;
}

void FillSizes(const BenchArguments& arguments, bench::ModelBenchOptions& options) {
  switch (arguments.mode) {
    case Mode::kMicro:
      options.inputs = Or(arguments.inputs, {128});
      options.outputs = Or(arguments.outputs, {48});
      options.batches = Or(arguments.batches, {1, 4, 8, 16, 32});
      return;
    case Mode::kGrid:
      options.inputs = Or(arguments.inputs, {50, 200, 500, 1000});
      options.outputs = Or(arguments.outputs, {50, 100, 150, 200});
      options.batches = Or(arguments.batches, {1});
      return;
    case Mode::kBatchTable:
      options.inputs = Or(arguments.inputs, {256});
      options.outputs = Or(arguments.outputs, {256});
      options.batches = Or(arguments.batches, {4});
      return;
    case Mode::kTexts:
    case Mode::kMixedTexts:
      options.inputs = Or(arguments.inputs, {16, 128, 512});
      options.batches = Or(arguments.batches, {1, 8, 32});
      return;
    case Mode::kLimits:
      return;
  }
}

Result<bench::Report> Limits(const BenchArguments& arguments) {
  const auto flag = arguments.model.flags.find("threads");
  const auto threads =
      flag == arguments.model.flags.end() ? std::optional<int64_t>(0) : ParseInt64(flag->second);
  if (!threads || *threads < 0 || *threads > kMostThreads) {
    return Status(StatusCode::kInvalidArgument,
                  fmt::format("--threads {}: it must be a whole number from 0 to {}", flag->second,
                              kMostThreads));
  }
  return bench::MeasureLimits(static_cast<int>(*threads), arguments.bandwidth_mib << 20);
}

bool IsInterrupted() { return interrupted; }

int64_t FirstOr(const std::vector<int64_t>& values, int64_t otherwise) {
  return values.empty() ? otherwise : values.front();
}

Result<bench::Report> MeasureServer(const BenchArguments& arguments) {
  LoadSizes sizes;
  if (arguments.inputs.size() > 1 || arguments.outputs.size() > 1) {
    return Status(StatusCode::kInvalidArgument,
                  "with --url, --input and --output take one number each: run it once for each");
  }
  sizes.input_tokens = FirstOr(arguments.inputs, sizes.input_tokens);
  sizes.output_tokens = FirstOr(arguments.outputs, sizes.output_tokens);
  sizes.seed = static_cast<uint64_t>(arguments.seed);
  DRAY_ASSIGN_OR_RETURN(auto options, MakeLoadOptions(arguments.load, arguments.model, sizes));
  options.stop = IsInterrupted;
  return RunLoad(options);
}

Result<bench::Report> Measure(const BenchArguments& arguments) {
  if (!arguments.load.url.empty()) return MeasureServer(arguments);
  if (arguments.mode == Mode::kLimits) return Limits(arguments);
  bench::ModelBenchOptions options;
  DRAY_ASSIGN_OR_RETURN(options.variants, MakeVariants(arguments.model));
  FillSizes(arguments, options);
  if (!arguments.kinds.empty()) options.kinds = arguments.kinds;
  options.prompt = arguments.prompt;
  options.repeats = arguments.repeats;
  options.seed = static_cast<uint64_t>(arguments.seed);
  options.num_beams = arguments.num_beams;
  options.bandwidth_bytes = arguments.bandwidth_mib << 20;
  options.stop = IsInterrupted;
  switch (arguments.mode) {
    case Mode::kGrid:
      return RunGrid(options);
    case Mode::kBatchTable:
      return RunBatchTable(options);
    case Mode::kTexts:
      return RunTexts(options, bench::TextLengths::kEqual);
    case Mode::kMixedTexts:
      return RunTexts(options, bench::TextLengths::kMixed);
    default:
      break;
  }
  return RunMicro(options);
}

std::string Text(const bench::Report& report, Format format) {
  switch (format) {
    case Format::kJson:
      return ToJson(report);
    case Format::kCsv:
      return ToCsv(report);
    case Format::kTable:
      break;
  }
  return ToTextTable(report);
}

Status WritePage(const std::string& path, const bench::Report& report) {
  std::ofstream file(path, std::ios::binary);
  file << ToHtml(report);
  file.close();
  if (file) return OkStatus();
  return {StatusCode::kIo, fmt::format("cannot write {}: {}", path, std::strerror(errno))};
}

Result<int> Bench(const BenchArguments& arguments, std::ostream& out) {
  interrupted = false;
  std::signal(SIGINT, OnInterrupt);
  const auto now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  DRAY_ASSIGN_OR_RETURN(bench::Report report, Measure(arguments));
  report.facts.emplace_back("dray", arguments.version);
  report.facts.emplace_back("date", fmt::format("{:%Y-%m-%d %H:%M:%S} UTC", fmt::gmtime(now)));
  report.facts.emplace_back("command", arguments.command_line);
  out << Text(report, arguments.format) << std::flush;
  if (!arguments.html.empty()) DRAY_RETURN_IF_ERROR(WritePage(arguments.html, report));
  const bool complete = report.completeness == bench::Report::Completeness::kComplete;
  return complete ? 0 : kExitInterrupted;
}

void AddModes(Command command, BenchArguments& arguments) {
  const auto add = [&](const std::string& flag, Mode mode, const std::string& help,
                       const std::string& excludes) {
    command.Add({.names = flag,
                 .target = [&arguments, mode] { arguments.mode = mode; },
                 .help = help,
                 .group = "What is measured (default: micro-runs beside the machine's limits)",
                 .excludes = excludes});
  };
  add("--grid", Mode::kGrid, "Latency of each input and output length", "");
  add("--batch-table", Mode::kBatchTable, "Load time, latency and tokens/s of batches", "--grid");
  add("--texts", Mode::kTexts, "Of an encoder: texts of each number and length", "--grid");
  add("--mixed-texts", Mode::kMixedTexts, "The same, of lengths from 8 tokens up to each length",
      "--grid");
  add("--limits", Mode::kLimits, "The machine alone: read bandwidth and arithmetic", "--grid");
}

void AddSizes(Command command, BenchArguments& arguments) {
  const std::string group = "Sizes";
  command.Add({.names = "--run",
               .target = FillList(arguments.kinds, ParseKinds),
               .help = "Which micro-runs: prompt, decode, batch. Default: all.",
               .type = "RUN,RUN,...",
               .group = group});
  const auto add_list = [&](const std::string& flag, std::vector<int64_t>& values,
                            const std::string& help) {
    const auto parse = [](const std::string& text) { return ParseCounts(text, kMostTokens); };
    command.Add({.names = flag,
                 .target = FillList(values, parse),
                 .help = help,
                 .type = "N,N,...",
                 .group = group});
  };
  add_list("--input", arguments.inputs, "Tokens of prompts, or of texts");
  add_list("--output", arguments.outputs, "New tokens");
  add_list("--batch", arguments.batches, "Sequences, or texts, at a time");
  const auto add_number = [&](const std::string& flag, int64_t& value, const FlagCheck& check,
                              const std::string& help) {
    command.Add({.names = flag,
                 .target = &value,
                 .help = help,
                 .type = "N",
                 .group = group,
                 .check = check,
                 .shows_default = true});
  };
  const FlagLimits<int64_t> limits{1, kMostTokens};
  add_number("--prompt", arguments.prompt, limits,
             "Micro-runs: tokens of the prompt that is timed alone");
  add_number("--repeats", arguments.repeats, limits,
             "Runs of each kind, after one that does not count");
  add_number("--num-beams", arguments.num_beams, limits,
             "Grid and batch table: beams of each sequence");
  add_number("--seed", arguments.seed, NotNegative{}, "Of the random prompts");
  add_number("--bandwidth-mib", arguments.bandwidth_mib, limits,
             "Memory that is read to learn its bandwidth");
}

void AddOutputs(Command command, BenchArguments& arguments) {
  const std::string group = "Output";
  const auto add = [&](const std::string& flag, Format format, const std::string& help,
                       const std::string& excludes) {
    command.Add({.names = flag,
                 .target = [&arguments, format] { arguments.format = format; },
                 .help = help,
                 .group = group,
                 .excludes = excludes});
  };
  add("--json", Format::kJson, "JSON in place of a table", "");
  add("--csv", Format::kCsv, "CSV in place of a table", "--json");
  command.Add({.names = "--html",
               .target = &arguments.html,
               .help = "Write a page with charts as well",
               .type = "FILE",
               .group = group});
}

}  // namespace

void AddBenchOptions(Command command, BenchArguments& arguments) {
  AddModelOptions(command, FlagScope::kModel, arguments.model);
  command.SetFooter(
      "Options of the engine may be lists, which are measured one after the other: --dtype "
      "bf16,int8 --threads 1,2.");
  AddModes(command, arguments);
  AddSizes(command, arguments);
  AddLoadOptions(command, arguments.load);
  AddOutputs(command, arguments);
}

int RunBench(const BenchArguments& arguments, std::ostream& out, std::ostream& err) {
  const Result<int> result = Bench(arguments, out);
  if (result.ok()) return *result;
  fmt::print(err, "dray bench: {}\n", result.status().message());
  return kExitFailed;
}

}  // namespace dray::cli
