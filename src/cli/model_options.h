// The options that every command which runs a model shares: the settings table as flags,
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

// What was typed.
struct ModelArguments {
  std::string model;                         // a folder, a .gguf file, "demo"; "" if none was given
  std::string config_file;                   // config.properties
  std::map<std::string, std::string> flags;  // by the setting's flag name
};

// Which settings a command has flags for.
enum class FlagScope { kModel, kModelAndServer };

// Adds the positional MODEL and one flag for each setting; `arguments` must live until
// parsing is done.
void AddModelOptions(CLI::App& command, FlagScope scope, ModelArguments& arguments);

// The settings and the model that they mean.
struct ResolvedModel {
  serving::Settings settings;
  std::filesystem::path model_dir;      // or a .gguf file
  std::filesystem::path tokenizer_dir;  // likewise
  std::filesystem::path draft_dir;      // likewise; "" without a draft model
  std::optional<DemoModel> demo;        // keeps the demo model's files while they are needed
};

// Reads config.properties, the environment and the model's serving.properties, in that order of
// rising precedence, under the flags. Logs a warning for each key that has no effect.
Result<ResolvedModel> ResolveModel(const ModelArguments& arguments);

}  // namespace dray::cli
