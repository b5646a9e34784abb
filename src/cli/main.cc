// The dray program: commands, flags, exit codes. Each command is implemented in a file of its own.
#include <unistd.h>

#include <CLI/CLI.hpp>
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
#include "cli/generate_command.h"
#include "cli/inspect_command.h"
#include "cli/serve_command.h"
#include "cli/shutdown.h"
#include "cli/tokenize_command.h"

namespace dray::cli {
namespace {

void AddServe(CLI::App& app, ModelArguments& arguments) {
  CLI::App* command = app.add_subcommand("serve", "Answer generation requests over HTTP");
  AddModelOptions(*command, FlagScope::kModelAndServer, arguments);
}

void AddGenerate(CLI::App& app, GenerateOptions& options) {
  CLI::App* command = app.add_subcommand("generate", "Continue one prompt on the terminal");
  AddModelOptions(*command, FlagScope::kModel, options.model);
  auto& request = options.request;
  auto& params = request.params;
  const auto add = [&](const std::string& flag, auto& value, const std::string& help) {
    return command->add_option(flag, value, help)->group("Request");
  };
  add("-p,--prompt", request.text, "The text to continue; without it, standard input");
  add("-n,--max-new-tokens", request.max_new_tokens, "At most so many tokens");
  add("--temperature", params.temperature, "Sample, with the logits divided by this")
      ->each([&](const std::string&) { params.do_sample = true; });
  add("--top-k", params.top_k, "Sample among the so many likeliest tokens");
  add("--top-p", params.top_p, "Sample among the likeliest tokens up to this probability");
  add("--min-p", params.min_p,
      "Sample among tokens of at least this share of the likeliest one's probability");
  add("--repetition-penalty", params.repetition_penalty, "Above 1: repeat less");
  add("--seed", params.seed, "Makes sampling repeatable");
  add("--stop", params.stop_strings, "Text that ends the answer; may be given several times")
      ->allow_extra_args(false);
  add("--samples", params.n, "So many answers to the prompt");
  command->add_flag("--sample", params.do_sample, "Sample rather than take the likeliest token")
      ->group("Request");
  command->add_flag("--ignore-eos", params.ignore_eos, "Go on after the model's end token")
      ->group("Request");
}

void AddInspect(CLI::App& app, std::string& model, InspectOptions& options) {
  CLI::App* command = app.add_subcommand("inspect", "Show what a model holds");
  command->add_option("model", model, "Folder of the model, a .gguf file, or: demo")
      ->required()
      ->type_name("MODEL");
  command->add_flag_callback(
      "--summary", [&] { options.tensors = TensorTable::kHide; }, "Without the tensor table");
}

void AddTokenize(CLI::App& app, std::string& model, TokenizeOptions& options) {
  CLI::App* command = app.add_subcommand("tokenize", "Show a text's tokens");
  command->add_option("model", model, "Folder of the model, a .gguf file, or: demo")
      ->required()
      ->type_name("MODEL");
  command->add_option("text", options.text, "The text; without it, standard input")
      ->type_name("TEXT");
  command->add_flag_callback(
      "--jsonl", [&] { options.format = TokenizeFormat::kJsonl; },
      "One JSON string a line in, one JSON array of ids a line out");
  command->add_flag_callback(
      "--decode", [&] { options.direction = TokenizeDirection::kDecode; }, "Ids to text instead");
  command->add_flag_callback(
      "--no-special-tokens", [&] { options.add_special_tokens = false; },
      "Without begin and end tokens");
  command->add_flag_callback(
      "--skip-special-tokens", [&] { options.skip_special_tokens = true; },
      "Decoding: leave special tokens out");
}

void AddBench(CLI::App& app, BenchArguments& arguments) {
  CLI::App* command = app.add_subcommand(
      "bench", "Measure a model beside the machine's limits, or a server under load");
  AddBenchOptions(*command, arguments);
}

void AddCalibrate(CLI::App& app, CalibrateOptions& options) {
  CLI::App* command = app.add_subcommand(
      "calibrate", "Measure a model's activations on a text, for --quantize smoothquant");
  AddCalibrateOptions(*command, options);
}

std::string CommandLine(int argc, char** argv) {
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

int Fail(const char* command, const Status& status) {
  std::cerr << "dray " << command << ": " << status.message() << "\n";
  return 1;
}

int Main(int argc, char** argv) {
  CLI::App app(
      "dray serves large language models: a Hugging Face checkpoint in, tokens out over HTTP.");
  app.require_subcommand(1);
  app.set_version_flag("--version", DRAY_VERSION);
  ModelArguments serve;
  GenerateOptions generate;
  InspectOptions inspect;
  TokenizeOptions tokenize;
  std::string model;
  AddServe(app, serve);
  AddGenerate(app, generate);
  AddInspect(app, model, inspect);
  AddTokenize(app, model, tokenize);
  BenchArguments bench;
  AddBench(app, bench);
  CalibrateOptions calibrate;
  AddCalibrate(app, calibrate);
  CLI11_PARSE(app, argc, argv);

  std::optional<DemoModel> demo;
  if (app.got_subcommand("serve")) {
    BlockShutdownSignals();
    return RunServe(serve, std::cout, std::cerr);
  }
  if (app.got_subcommand("generate")) {
    if (generate.request.text.empty()) {
      generate.request.text.assign(std::istreambuf_iterator<char>(std::cin), {});
    }
    // The progress line shows the loading, so the log only needs warnings.
    if (::isatty(STDERR_FILENO) == 1) SetLogLevel(LogLevel::kWarning);
    return RunGenerate(generate, std::cout, std::cerr);
  }
  if (app.got_subcommand("calibrate")) {
    SetLogLevel(LogLevel::kWarning);
    return RunCalibrate(calibrate, std::cout, std::cerr);
  }
  if (app.got_subcommand("bench")) {
    SetLogLevel(LogLevel::kWarning);
    bench.version = DRAY_VERSION;
    bench.command_line = CommandLine(argc, argv);
    return RunBench(bench, std::cout, std::cerr);
  }
  const char* command = app.got_subcommand("inspect") ? "inspect" : "tokenize";
  const auto folder = ModelFolder(model, demo);
  if (!folder.ok()) return Fail(command, folder.status());
  if (app.got_subcommand("inspect")) {
    inspect.model_dir = *folder;
    return RunInspect(inspect, std::cout, std::cerr);
  }
  tokenize.model_dir = *folder;
  return RunTokenize(tokenize, std::cin, std::cout, std::cerr);
}

}  // namespace
}  // namespace dray::cli

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  return dray::cli::RunUntilExhausted(dray::cli::Main, argc, argv);
}
