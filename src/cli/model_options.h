// The options that all commands share that run a model: the settings table as flags,
// serving.properties beside the model, and the environment.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "base/status.h"
#include "cli/demo_model.h"
#include "serving/settings.h"

namespace CLI {
class App;
}

namespace dray::cli {

// The command line as it was typed.
struct ModelArguments {
  std::string model;                         // a folder, a .gguf file, "demo"; "" if none was given
  std::string config_file;                   // config.properties
  std::map<std::string, std::string> flags;  // by the setting's flag name
};

// The settings for which a command has flags.
enum class FlagScope { kModel, kModelAndServer };

// Adds the positional MODEL and one flag for each setting; `arguments` must live until
// parsing is done.
void AddModelOptions(CLI::App& command, FlagScope scope, ModelArguments& arguments);

// The settings, and the model that they name.
struct ResolvedModel {
  serving::Settings settings;
  std::filesystem::path model_dir;      // or a .gguf file
  std::filesystem::path tokenizer_dir;  // or a .gguf file
  std::filesystem::path draft_dir;      // or a .gguf file; "" without a draft model
  std::optional<DemoModel> demo;        // keeps the demo model's files while they are needed
};

// Reads config.properties, the environment, the model's serving.properties and the flags; later
// ones win. Logs a warning for each key that has no effect.
Result<ResolvedModel> ResolveModel(const ModelArguments& arguments);

}  // namespace dray::cli
