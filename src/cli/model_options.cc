#include "cli/model_options.h"

#include <fmt/format.h>

#include <utility>

#include "base/log.h"
#include "serving/load/resolve_model.h"
#include "settings/foreign/container_defaults.h"
#include "settings/foreign/engine_choice.h"
#include "settings/load_settings.h"
#include "settings/settings_table.h"

namespace dray::cli {
namespace {

namespace fs = std::filesystem;

Result<settings::SettingSources> ReadSources(const ModelArguments& arguments) {
  settings::SettingSources sources;
  sources.environment = settings::ReadEnvironment();
  sources.flags = arguments.flags;
  fs::path config = arguments.config_file;
  if (config.empty()) {
    DRAY_ASSIGN_OR_RETURN(config, settings::FindServerConfig(sources.environment));
  }
  if (!config.empty()) {
    DRAY_ASSIGN_OR_RETURN(sources.config_properties, serving::ReadPropertiesFile(config));
  }
  return sources;
}

bool IsFolder(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

void LogFindings(const std::vector<std::string>& warnings, const std::vector<std::string>& notes) {
  for (const std::string& warning : warnings) LogWarning(warning);
  for (const std::string& note : notes) LogInfo(note);
}

// The model in `folder`, or, if that is empty, the one that the settings name.
Result<ResolvedModel> ResolveNamed(fs::path folder, settings::SettingSources sources) {
  ResolvedModel resolved;
  if (folder == kDemoModelName && !IsFolder(folder)) {
    DRAY_ASSIGN_OR_RETURN(resolved.demo, DemoModel::Extract());
    folder = resolved.demo->dir();
  }
  resolved.sources = sources;
  if (folder == serving::kEchoModelName && !IsFolder(folder)) {
    folder.clear();
    sources.registration["engine"] = settings::kEchoEngine;
  }
  if (resolved.demo) sources.config_properties.try_emplace("model_name", kDemoModelName);
  resolved.resolve_again = [sources = std::move(sources), folder] {
    return serving::ResolveModelFiles(sources, folder);
  };
  DRAY_ASSIGN_OR_RETURN(auto files, resolved.resolve_again());
  LogFindings(files.warnings, files.notes);
  resolved.settings = std::move(files.settings);
  resolved.files = std::move(files.files);
  return resolved;
}

// What DJLServing's program calls flags of `dray serve`.
std::string NamesOf(const std::string& flag) {
  if (flag == "model-store") return "-s,--model-store";
  if (flag == "load-models") return "-m,--models,--load-models";
  return "--" + flag;
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
       .help = "Folder of the model (config.json, weights, tokenizer), a .gguf file, or: demo; to "
               "serve, also: echo",
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
    command.Add({.names = NamesOf(flag),
                 .target = TakeFlag(flag, arguments),
                 .help = std::move(help),
                 .type = std::string(setting.value),
                 .group = server ? "Server" : "Model"});
  }
}

Result<ResolvedModel> ResolveModel(const ModelArguments& arguments) {
  DRAY_ASSIGN_OR_RETURN(auto sources, ReadSources(arguments));
  DRAY_ASSIGN_OR_RETURN(auto resolved, ResolveNamed(arguments.model, std::move(sources)));
  if (resolved.settings.model.engine == settings::EngineKind::kEcho) {
    return Status(StatusCode::kUnsupported,
                  "engine=Echo has no model to compute; only `dray serve` can use it");
  }
  return resolved;
}

Result<ResolvedModel> ResolveServer(const ModelArguments& arguments) {
  ResolvedModel resolved;
  settings::SettingSources& sources = resolved.sources;
  DRAY_ASSIGN_OR_RETURN(sources, ReadSources(arguments));
  if (!arguments.model.empty()) return ResolveNamed(arguments.model, std::move(sources));
  sources.container_defaults = settings::ContainerDefaults(sources.environment, "/");
  DRAY_ASSIGN_OR_RETURN(auto loaded, settings::LoadSettings(sources));
  const settings::ServerSettings& server = loaded.settings.server;
  const bool is_named = !loaded.settings.model.model_id.empty();
  const bool has_list = !server.model_store.empty() || server.load_models != "ALL";
  if (is_named || !has_list) {
    // The model may lie in the store that a container has by default.
    sources.container_defaults.erase("model_store");
    return ResolveNamed("", std::move(sources));
  }
  LogFindings(loaded.warnings, loaded.notes);
  resolved.settings = std::move(loaded.settings);
  return resolved;
}

}  // namespace dray::cli
