// The dray program: commands, flags, exit codes. Each command is implemented in a file of its own.
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <optional>
#include <string>

#include "base/log.h"
#include "cli/bench/bench_command.h"
#include "cli/calibrate_command.h"
#include "cli/exhaustion.h"
#include "cli/flags/flags.h"
#include "cli/generate_command.h"
#include "cli/inspect_command.h"
#include "cli/partition/partition_command.h"
#include "cli/plan_command.h"
#include "cli/serve/shutdown.h"
#include "cli/serve_command.h"
#include "cli/tokenize_command.h"
#include "cli/top/top_command.h"
#include "engine/runner/processes/mpi_place.h"
#include "engine/runner/processes/rank_process.h"
#include "settings/foreign/key_page.h"

namespace dray::cli {
namespace {

void AddRequestOptions(Command command, serving::TextRequest& request) {
  auto& params = request.params;
  const auto add = [&](const std::string& names, const FlagTarget& target,
                       const std::string& help) {
    command.Add({.names = names, .target = target, .help = help, .group = "Request"});
  };
  add("-p,--prompt", &request.text, "The text to continue; without it, standard input");
  add("-n,--max-new-tokens", &request.max_new_tokens, "At most so many tokens");
  command.Add({.names = "--temperature",
               .target = &params.temperature,
               .help = "Sample, with the logits divided by this",
               .group = "Request",
               .when_given = [&] { params.do_sample = true; }});
  add("--top-k", &params.top_k, "Sample among the so many likeliest tokens");
  add("--top-p", &params.top_p, "Sample among the likeliest tokens up to this probability");
  add("--min-p", &params.min_p,
      "Sample among tokens of at least this share of the likeliest one's probability");
  add("--repetition-penalty", &params.repetition_penalty, "Above 1: repeat less");
  add("--seed", &params.seed, "Makes sampling repeatable");
  add("--stop", &params.stop_strings, "Text that ends the answer; may be given several times");
  add("--samples", &params.n, "So many answers to the prompt");
  add("--sample", &params.do_sample, "Sample rather than take the likeliest token");
  add("--ignore-eos", &params.ignore_eos, "Go on after the model's end token");
}

// Adds the model of a command that takes no settings.
void AddModel(Command command, std::string& model) {
  command.Add({.names = "model",
               .target = &model,
               .help = "Folder of the model, a .gguf file, or: demo",
               .type = "MODEL",
               .is_required = true});
}

void AddTokenizeOptions(Command command, TokenizeOptions& options) {
  command.Add({.names = "text",
               .target = &options.text,
               .help = "The text; without it, standard input",
               .type = "TEXT"});
  command.Add({.names = "--pair",
               .target = &options.pair,
               .help = "A second text: both as one sequence, as the model's template says",
               .type = "TEXT"});
  command.Add({.names = "--max-tokens",
               .target = &options.max_tokens,
               .help = "Cut to so many tokens, special ones included"});
  command.Add(
      {.names = "--truncation",
       .target = [&](const std::string& name) { return ParseTruncation(name, options.truncation); },
       .help = "What is cut of a pair: longest_first, only_first or only_second",
       .type = "NAME"});
  const auto add = [&](const std::string& name, const std::function<void()>& set,
                       const std::string& help) {
    command.Add({.names = name, .target = set, .help = help});
  };
  add(
      "--jsonl", [&] { options.format = TokenizeFormat::kJsonl; },
      "One JSON string (or two in an array) a line in, one JSON array of ids a line out");
  add(
      "--decode", [&] { options.direction = TokenizeDirection::kDecode; }, "Ids to text instead");
  add(
      "--no-special-tokens", [&] { options.add_special_tokens = false; },
      "Without begin and end tokens");
  add(
      "--skip-special-tokens", [&] { options.skip_special_tokens = true; },
      "Decoding: leave special tokens out");
}

// The targets of all commands' flags.
struct Arguments {
  ModelArguments serve;
  GenerateOptions generate;
  std::string model;  // of inspect and tokenize
  InspectOptions inspect;
  TokenizeOptions tokenize;
  BenchArguments bench;
  PlanArguments plan;
  CalibrateOptions calibrate;
  PartitionArguments partition;
  TopOptions top;
};

void AddCommands(CommandLine& line, Arguments& arguments) {
  AddModelOptions(line.AddCommand("serve", "Answer generation requests over HTTP"),
                  FlagScope::kModelAndServer, arguments.serve);
  const Command generate = line.AddCommand("generate", "Continue one prompt on the terminal");
  AddModelOptions(generate, FlagScope::kModel, arguments.generate.model);
  AddRequestOptions(generate, arguments.generate.request);
  Command inspect = line.AddCommand("inspect", "Show what a model holds");
  AddModel(inspect, arguments.model);
  inspect.Add({.names = "--summary",
               .target = [&] { arguments.inspect.tensors = TensorTable::kHide; },
               .help = "Without the tensor table"});
  const Command tokenize = line.AddCommand("tokenize", "Show a text's tokens");
  AddModel(tokenize, arguments.model);
  AddTokenizeOptions(tokenize, arguments.tokenize);
  AddBenchOptions(line.AddCommand("bench",
                                  "Measure a model beside the machine's limits, or a server "
                                  "under load"),
                  arguments.bench);
  AddPlanOptions(line.AddCommand("plan", "Tell where a model fits, and how fast it would be there"),
                 arguments.plan);
  AddCalibrateOptions(
      line.AddCommand("calibrate",
                      "Measure a model's activations on a text, for --quantize smoothquant"),
      arguments.calibrate);
  AddPartitionOptions(
      line.AddCommand("partition", "Write a model as an artifact, which loads in a moment"),
      arguments.partition);
  line.AddCommand("rank", "Be one rank of a model; dray starts it itself (docs/ranks.md)");
  AddTopOptions(line.AddCommand("top", "Watch a server: models, load, latencies"), arguments.top);
  line.AddCommand("keys", "Print what is done with every configuration key of other servers");
}

std::string TypedLine(int argc, char** argv) {
  std::string line;
  for (int i = 0; i < argc; ++i) line += (i > 0 ? " " : "") + std::string(argv[i]);
  return line;
}

// The folder for a command that takes no settings. If the model is the demo model, extracts it.
Result<std::filesystem::path> ModelFolder(const std::string& model,
                                          std::optional<DemoModel>& demo) {
  if (model != kDemoModelName || std::filesystem::is_directory(model))
    return std::filesystem::path(model);
  DRAY_ASSIGN_OR_RETURN(demo, DemoModel::Extract());
  return demo->dir();
}

int Fail(const std::string& command, const Status& status) {
  std::cerr << "dray " << command << ": " << status.message() << "\n";
  return 1;
}

int RunModelTool(const std::string& command, Arguments& arguments) {
  std::optional<DemoModel> demo;
  const auto folder = ModelFolder(arguments.model, demo);
  if (!folder.ok()) return Fail(command, folder.status());
  if (command == "inspect") {
    arguments.inspect.model_dir = *folder;
    return RunInspect(arguments.inspect, std::cout, std::cerr);
  }
  arguments.tokenize.model_dir = *folder;
  return RunTokenize(arguments.tokenize, std::cin, std::cout, std::cerr);
}

int Main(int argc, char** argv) {
  CommandLine line(
      "dray serves large language models: a Hugging Face checkpoint in, tokens out over HTTP.",
      DRAY_VERSION);
  Arguments arguments;
  AddCommands(line, arguments);
  if (const auto exit_code = line.Parse(argc, argv)) return *exit_code;

  const std::string command = line.command();
  if (const auto place = engine::MpiPlaceOfProcess();
      place && place->world > 1 && (command == "serve" || command == "generate")) {
    // A user's own mpirun has started the program several times. The first process is the front and
    // rank 0, the others are ranks and nothing else.
    if (place->rank > 0) return engine::RunRankOfUserJob();
    arguments.serve.flags["rank-transport"] = "mpi";
    arguments.generate.model.flags["rank-transport"] = "mpi";
  }
  if (command == "serve") {
    BlockShutdownSignals();
    return RunServe(arguments.serve, std::cout, std::cerr);
  }
  if (command == "generate") {
    std::string& prompt = arguments.generate.request.text;
    if (prompt.empty()) prompt.assign(std::istreambuf_iterator<char>(std::cin), {});
    // The progress line shows the loading, so the log only needs warnings.
    if (::isatty(STDERR_FILENO) == 1) SetLogLevel(LogLevel::kWarning);
    return RunGenerate(arguments.generate, std::cout, std::cerr);
  }
  if (command == "calibrate") {
    SetLogLevel(LogLevel::kWarning);
    return RunCalibrate(arguments.calibrate, std::cout, std::cerr);
  }
  if (command == "partition") {
    SetLogLevel(LogLevel::kWarning);
    BlockShutdownSignals();
    return RunPartition(arguments.partition, std::cout, std::cerr);
  }
  if (command == "bench") {
    SetLogLevel(LogLevel::kWarning);
    arguments.bench.version = DRAY_VERSION;
    arguments.bench.command_line = TypedLine(argc, argv);
    return RunBench(arguments.bench, std::cout, std::cerr);
  }
  if (command == "plan") {
    SetLogLevel(LogLevel::kWarning);
    return RunPlan(arguments.plan, std::cout, std::cerr);
  }
  if (command == "rank") {
    SetLogLevel(LogLevel::kWarning);
    return engine::RunRankProcess();
  }
  if (command == "top") return RunTop(arguments.top, std::cout, std::cerr);
  if (command == "keys") {
    std::cout << settings::KeyPage();
    return 0;
  }
  return RunModelTool(command, arguments);
}

}  // namespace
}  // namespace dray::cli

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  return dray::cli::RunUntilExhausted(dray::cli::Main, argc, argv);
}
