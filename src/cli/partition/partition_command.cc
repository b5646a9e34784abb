#include "cli/partition/partition_command.h"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <ostream>
#include <stop_token>
#include <thread>
#include <utility>

#include "base/human.h"
#include "cli/partition/copied_settings.h"
#include "cli/progress.h"
#include "cli/serve/shutdown.h"
#include "engine/partition.h"
#include "serving/load/open_encoder.h"
#include "settings/engine_settings.h"

namespace dray::cli {
namespace {

// Asks for the end of some work when a shutdown signal comes, as long as the object lives.
class StopOnSignal {
 public:
  explicit StopOnSignal(ShutdownWait wait)
      : wait_(std::move(wait)), thread_([this] {
          if (wait_.Wait()) source_.request_stop();
        }) {}
  ~StopOnSignal() {
    wait_.Wake();
    thread_.join();
  }
  StopOnSignal(const StopOnSignal&) = delete;
  StopOnSignal& operator=(const StopOnSignal&) = delete;

  std::stop_token token() const { return source_.get_token(); }

 private:
  ShutdownWait wait_;
  std::stop_source source_;
  std::thread thread_;
};

Status Partition(const PartitionArguments& arguments, std::ostream& out) {
  DRAY_ASSIGN_OR_RETURN(const ResolvedModel resolved, ResolveModel(arguments.model));
  const settings::ModelSettings& settings = resolved.settings.model;
  engine::PartitionOptions options;
  DRAY_ASSIGN_OR_RETURN(const serving::ModelFiles files,
                        serving::FilesOfTransformer(resolved.files));
  DRAY_ASSIGN_OR_RETURN(options.load, settings::MakeLoadModelOptions(settings, files.model));
  options.tokenizer = files.tokenizer;
  options.modules = serving::FolderOfModules(resolved.files.model);
  DRAY_ASSIGN_OR_RETURN(options.settings, CopiedSettings(resolved.files.model));
  options.output = arguments.output.empty() ? settings.save_artifact : arguments.output;
  if (options.output.empty()) {
    return {StatusCode::kInvalidArgument, "name a folder for the artifact with --output"};
  }
  DRAY_ASSIGN_OR_RETURN(ShutdownWait wait, ShutdownWait::Make());
  const StopOnSignal stop(std::move(wait));
  options.load.stop = stop.token();
  engine::PartitionReport report;
  {
    ProgressLine line("packing");
    options.load.progress = [&](uint64_t done, uint64_t total) { line.Update(done, total); };
    DRAY_ASSIGN_OR_RETURN(report, engine::Partition(options));
  }
  fmt::print(out,
             "{}: {} parameters, {} as {}, written in {:.1f} s\n"
             "serve it with: dray serve {}\n",
             options.output.string(), HumanCount(report.num_parameters),
             HumanBytes(static_cast<uint64_t>(report.file_bytes)), Name(report.format),
             report.seconds, options.output.string());
  return OkStatus();
}

}  // namespace

void AddPartitionOptions(Command command, PartitionArguments& arguments) {
  command.Add(
      {.names = "model,--model,--model-dir",
       .target = &arguments.model.model,
       .help = "Folder of the model (config.json, weights, tokenizer), a .gguf file, or: demo",
       .type = "MODEL"});
  command.Add({.names = "-o,--output,--save-mp-checkpoint-path",
               .target = &arguments.output,
               .help = "Folder of the artifact; it must not exist yet, or be empty",
               .type = "FOLDER"});
  const auto add_setting = [&](const std::string& flag, const std::string& type,
                               const std::string& help) {
    command.Add({.names = "--" + flag,
                 .target = TakeFlag(flag, arguments.model),
                 .help = help,
                 .type = type});
  };
  add_setting("dtype", "TYPE",
              "Form of the weights: auto (as in the checkpoint), fp32, fp16, bf16, int8, int4");
  add_setting("quantize", "METHOD", "How weights become integers, as of dray serve");
  add_setting("quantize-group-size", "N", "Input channels that share a scale: 32, 64 or 128");
  add_setting("smoothquant-alpha", "A", "With --quantize smoothquant, as of dray serve");
  add_setting("calibration-file", "FILE", "With --quantize smoothquant, what dray calibrate wrote");
  add_setting("tokenizer", "FOLDER", "Where the tokenizer's files are, if not beside the model");
  add_setting("load-format", "FORMAT", "auto, or dummy: random weights of the model's size");
  add_setting("forbid-pickle", "BOOL", "Refuse checkpoints in torch's pickle format");
  add_setting("threads", "N", "Processor threads; 0: all that this process may use");
  add_setting("tensor-parallel-degree", "N",
              "Changes nothing: an artifact serves every number of ranks");
}

int RunPartition(const PartitionArguments& arguments, std::ostream& out, std::ostream& err) {
  const Status status = Partition(arguments, out);
  if (status.ok()) return 0;
  fmt::print(err, "dray partition: {}\n", status.message());
  return 1;
}

}  // namespace dray::cli
