#include "cli/model_options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <utility>

#include "base/file.h"
#include "base/log.h"
#include "checkpoint/gguf/gguf_files.h"

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

bool IsModel(const fs::path& path) {
  std::error_code error;
  return IsFolder(path) || (checkpoint::IsGgufFile(path) && fs::exists(path, error));
}

// A model_id in a folder's serving.properties may be relative to that folder.
fs::path LocateModel(const fs::path& folder, const std::string& model_id) {
  if (model_id.empty()) return folder;
  fs::path id = model_id;
  if (id.is_relative() && !folder.empty() && IsModel(folder / id)) return folder / id;
  return id;
}

Status CheckModel(const fs::path& path) {
  if (path.empty()) {
    return {StatusCode::kInvalidArgument,
            "no model was named: give a folder with config.json and weights, a .gguf file, or "
            "\"demo\" for the built-in model"};
  }
  if (!IsModel(path)) {
    return {StatusCode::kNotFound,
            fmt::format("there is no folder {}: name one that holds config.json, weights and a "
                        "tokenizer, or a .gguf file, or \"demo\" for the built-in model",
                        path.string())};
  }
  return OkStatus();
}

// The name of a model that was given none: its folder's, or its file's without the extension.
std::string NameOf(const fs::path& model) {
  const fs::path path = fs::absolute(model);
  return (checkpoint::IsGgufFile(path) ? path.stem() : path.filename()).string();
}

}  // namespace

void AddModelOptions(CLI::App& command, FlagScope scope, ModelArguments& arguments) {
  command
      .add_option("model", arguments.model,
                  "Folder of the model (config.json, weights, tokenizer), a .gguf file, or: demo")
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
  // A single file has no properties: those in its folder may belong to another model.
  if (!folder.empty() && !checkpoint::IsGgufFile(folder)) {
    DRAY_ASSIGN_OR_RETURN(sources.serving_properties,
                          ReadOptionalProperties(folder / "serving.properties"));
  }
  DRAY_ASSIGN_OR_RETURN(auto loaded, serving::LoadSettings(sources));
  for (const std::string& warning : loaded.warnings) LogWarning(warning);
  resolved.settings = std::move(loaded.settings);
  resolved.model_dir = LocateModel(folder, resolved.settings.model_id);
  DRAY_RETURN_IF_ERROR(CheckModel(resolved.model_dir));
  resolved.tokenizer_dir = resolved.settings.tokenizer.empty()
                               ? resolved.model_dir
                               : LocateModel(folder, resolved.settings.tokenizer);
  if (const std::string& draft = resolved.settings.speculation.draft_model; !draft.empty()) {
    resolved.draft_dir = LocateModel(folder, draft);
    DRAY_RETURN_IF_ERROR(CheckModel(resolved.draft_dir).WithPrefix("speculative_draft_model"));
  }
  if (resolved.settings.model_name.empty()) {
    resolved.settings.model_name = resolved.demo ? kDemoModelName : NameOf(resolved.model_dir);
  }
  return resolved;
}

}  // namespace dray::cli
