#include "cli/model_options.h"

#include <fmt/format.h>

#include <utility>

#include "base/file.h"
#include "base/log.h"
#include "checkpoint/gguf/gguf_files.h"
#include "settings/load_settings.h"
#include "settings/settings_table.h"

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
  if (!HasEntry(path)) return Properties();
  return ReadPropertiesFile(path);
}

bool IsFolder(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

}  // namespace

FlagTarget TakeFlag(const std::string& flag, ModelArguments& arguments) {
  return [&arguments, flag](const std::string& text) {
    arguments.flags[flag] = text;
    return OkStatus();
  };
}

void AddModelOptions(Command command, FlagScope scope, ModelArguments& arguments) {
  command.Add(
      {.names = "model",
       .target = &arguments.model,
       .help = "Folder of the model (config.json, weights, tokenizer), a .gguf file, or: demo",
       .type = "MODEL"});
  command.Add({.names = "-f,--config-file",
               .target = &arguments.config_file,
               .help = "A config.properties file",
               .type = "FILE"});
  for (const settings::Setting& setting : settings::SettingTable()) {
    const bool server = setting.scope == settings::Setting::Scope::kServer;
    if (setting.flag.empty() || (server && scope == FlagScope::kModel)) continue;
    const std::string flag(setting.flag);
    std::string help(setting.doc);
    if (!setting.default_text.empty()) help += fmt::format(" Default: {}.", setting.default_text);
    command.Add({.names = "--" + flag,
                 .target = TakeFlag(flag, arguments),
                 .help = std::move(help),
                 .type = std::string(setting.value),
                 .group = server ? "Server" : "Model"});
  }
}

Result<ResolvedModel> ResolveModel(const ModelArguments& arguments) {
  ResolvedModel resolved;
  fs::path folder = arguments.model;
  if (arguments.model == kDemoModelName && !IsFolder(folder)) {
    DRAY_ASSIGN_OR_RETURN(resolved.demo, DemoModel::Extract());
    folder = resolved.demo->dir();
  }
  settings::SettingSources sources;
  sources.environment = settings::ReadEnvironment();
  sources.flags = arguments.flags;
  if (!arguments.config_file.empty()) {
    DRAY_ASSIGN_OR_RETURN(sources.config_properties, ReadPropertiesFile(arguments.config_file));
  }
  // A single file has no properties: those in its folder may belong to another model.
  if (!folder.empty() && !checkpoint::IsGgufFile(folder)) {
    DRAY_ASSIGN_OR_RETURN(sources.serving_properties,
                          ReadOptionalProperties(folder / "serving.properties"));
  }
  DRAY_ASSIGN_OR_RETURN(auto loaded, settings::LoadSettings(sources));
  for (const std::string& warning : loaded.warnings) LogWarning(warning);
  for (const std::string& note : loaded.notes) LogInfo(note);
  resolved.settings = std::move(loaded.settings);
  settings::ModelSettings& model = resolved.settings.model;
  DRAY_ASSIGN_OR_RETURN(resolved.files, serving::LocateModelFiles(model, folder));
  if (model.model_name.empty()) {
    model.model_name = resolved.demo ? kDemoModelName : serving::ModelNameOf(resolved.files.model);
  }
  return resolved;
}

}  // namespace dray::cli
