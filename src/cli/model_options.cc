#include "cli/model_options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <utility>

#include "base/file.h"
#include "base/log.h"

namespace dray::cli {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxPropertiesBytes = 1 << 20;

Result<Properties> ReadPropertiesFile(const fs::path& path) {
  DRAY_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxPropertiesBytes));
  auto properties = ParseProperties(text);
  if (!properties.ok()) return properties.status().WithPrefix(path.string());
  return properties;
}

Result<Properties> ReadOptionalProperties(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(path, error)) return Properties();
  return ReadPropertiesFile(path);
}

bool IsFolder(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

// A model_id inside a folder's serving.properties may be relative to that folder.
fs::path LocateModel(const fs::path& folder, const std::string& model_id) {
  if (model_id.empty()) return folder;
  fs::path id = model_id;
  if (id.is_relative() && !folder.empty() && IsFolder(folder / id)) return folder / id;
  return id;
}

Status CheckModelFolder(const fs::path& dir) {
  if (dir.empty()) {
    return {StatusCode::kInvalidArgument,
            "no model was named: give a folder with config.json and weights, or \"demo\" for the "
            "built-in model"};
  }
  if (!IsFolder(dir)) {
    return {StatusCode::kNotFound,
            fmt::format("there is no folder {}: name one that holds config.json, weights and a "
                        "tokenizer, or \"demo\" for the built-in model",
                        dir.string())};
  }
  return OkStatus();
}

}  // namespace

void AddModelOptions(CLI::App& command, FlagScope scope, ModelArguments& arguments) {
  command
      .add_option("model", arguments.model,
                  "Folder of the model (config.json, weights, tokenizer), or: demo")
      ->type_name("MODEL");
  command.add_option("-f,--config-file", arguments.config_file, "A config.properties file")
      ->type_name("FILE");
  for (const serving::Setting& setting : serving::SettingTable()) {
    const bool server = setting.scope == serving::Setting::Scope::kServer;
    if (setting.flag.empty() || (server && scope == FlagScope::kModel)) continue;
    const std::string flag(setting.flag);
    std::string help(setting.doc);
    if (!setting.default_text.empty()) help += fmt::format(" Default: {}.", setting.default_text);
    command
        .add_option_function<std::string>(
            "--" + flag,
            [&arguments, flag](const std::string& value) { arguments.flags[flag] = value; }, help)
        ->type_name(std::string(setting.value))
        ->group(server ? "Server" : "Model");
  }
}

Result<ResolvedModel> ResolveModel(const ModelArguments& arguments) {
  ResolvedModel resolved;
  fs::path folder = arguments.model;
  if (arguments.model == kDemoModelName && !IsFolder(folder)) {
    DRAY_ASSIGN_OR_RETURN(resolved.demo, DemoModel::Extract());
    folder = resolved.demo->dir();
  }
  serving::SettingSources sources;
  sources.environment = serving::ReadEnvironment();
  sources.flags = arguments.flags;
  if (!arguments.config_file.empty()) {
    DRAY_ASSIGN_OR_RETURN(sources.config_properties, ReadPropertiesFile(arguments.config_file));
  }
  if (!folder.empty()) {
    DRAY_ASSIGN_OR_RETURN(sources.serving_properties,
                          ReadOptionalProperties(folder / "serving.properties"));
  }
  DRAY_ASSIGN_OR_RETURN(auto loaded, serving::LoadSettings(sources));
  for (const std::string& warning : loaded.warnings) LogWarning(warning);
  resolved.settings = std::move(loaded.settings);
  resolved.model_dir = LocateModel(folder, resolved.settings.model_id);
  DRAY_RETURN_IF_ERROR(CheckModelFolder(resolved.model_dir));
  resolved.tokenizer_dir = resolved.settings.tokenizer.empty()
                               ? resolved.model_dir
                               : LocateModel(folder, resolved.settings.tokenizer);
  if (resolved.settings.model_name.empty()) {
    resolved.settings.model_name =
        resolved.demo ? kDemoModelName : fs::absolute(resolved.model_dir).filename().string();
  }
  return resolved;
}

}  // namespace dray::cli
