#include "cli/model_options.h"

#include <fmt/format.h>

#include <utility>

#include "base/log.h"
#include "serving/load/resolve_model.h"
#include "settings/load_settings.h"
#include "settings/settings_table.h"

namespace dray::cli {
namespace {

namespace fs = std::filesystem;

Result<settings::SettingSources> ReadSources(const ModelArguments& arguments) {
  settings::SettingSources sources;
  sources.environment = settings::ReadEnvironment();
  sources.flags = arguments.flags;
  if (!arguments.config_file.empty()) {
    DRAY_ASSIGN_OR_RETURN(sources.config_properties,
                          serving::ReadPropertiesFile(arguments.config_file));
  }
  return sources;
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
  DRAY_ASSIGN_OR_RETURN(resolved.sources, ReadSources(arguments));
  settings::SettingSources sources = resolved.sources;
  if (resolved.demo) sources.config_properties.try_emplace("model_name", kDemoModelName);
  DRAY_ASSIGN_OR_RETURN(auto files, serving::ResolveModelFiles(std::move(sources), folder));
  for (const std::string& warning : files.warnings) LogWarning(warning);
  for (const std::string& note : files.notes) LogInfo(note);
  resolved.settings = std::move(files.settings);
  resolved.files = std::move(files.files);
  return resolved;
}

Result<ResolvedModel> ResolveServer(const ModelArguments& arguments) {
  if (!arguments.model.empty()) return ResolveModel(arguments);
  ResolvedModel resolved;
  DRAY_ASSIGN_OR_RETURN(resolved.sources, ReadSources(arguments));
  DRAY_ASSIGN_OR_RETURN(auto loaded, settings::LoadSettings(resolved.sources));
  const settings::ServerSettings& server = loaded.settings.server;
  const bool has_list = !server.model_store.empty() || server.load_models != "ALL";
  if (!has_list || !loaded.settings.model.model_id.empty()) return ResolveModel(arguments);
  for (const std::string& warning : loaded.warnings) LogWarning(warning);
  for (const std::string& note : loaded.notes) LogInfo(note);
  resolved.settings = std::move(loaded.settings);
  return resolved;
}

}  // namespace dray::cli
