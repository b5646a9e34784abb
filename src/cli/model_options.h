// The options that all commands share that run a model: the settings table as flags,
// serving.properties beside the model, and the environment.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "base/status.h"
#include "cli/demo_model.h"
#include "cli/flags/flags.h"
#include "serving/load/model_files.h"
#include "serving/load/resolve_model.h"
#include "settings/load_settings.h"
#include "settings/settings.h"

namespace dray::cli {

// The command line as it was typed.
struct ModelArguments {
  std::string model;                         // a folder, a .gguf file, "demo", "echo"; "" if none
  std::string config_file;                   // config.properties
  std::map<std::string, std::string> flags;  // by the setting's flag name
};

// The settings for which a command has flags.
enum class FlagScope { kModel, kModelAndServer };

// Adds the positional MODEL and one flag for each setting; `arguments` must live until
// parsing is done.
void AddModelOptions(Command command, FlagScope scope, ModelArguments& arguments);

// The target of a setting's flag: the text goes to `arguments.flags[flag]`, and ResolveModel parses it
// together with the settings from other sources.
FlagTarget TakeFlag(const std::string& flag, ModelArguments& arguments);

// The settings, and the model that they name.
struct ResolvedModel {
  settings::Settings settings;  // with the model's name
  // Where they are from, but for what belongs to this model alone.
  settings::SettingSources sources;
  serving::ModelFiles files;
  // Finds settings and files anew: serving.properties may have changed.
  std::function<Result<serving::ResolvedFiles>()> resolve_again;
  std::optional<DemoModel> demo;  // keeps the demo model's files until it is loaded
};

// Reads config.properties, the environment, the model's serving.properties and the flags; later
// ones win. Logs a warning for each key that has no effect. kUnsupported for engine=Echo, which only a server
// can use.
Result<ResolvedModel> ResolveModel(const ModelArguments& arguments);

// The same for a server, which may name its models by model_store and load_models instead: the files
// are empty if no model is named.
Result<ResolvedModel> ResolveServer(const ModelArguments& arguments);

}  // namespace dray::cli
