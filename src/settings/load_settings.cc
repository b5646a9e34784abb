// The sources, one over the other. Which keys there are is in table/, foreign_settings.cc and
// foreign/.
#include "settings/load_settings.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "settings/foreign/contradictions.h"
#include "settings/foreign/environment_names.h"
#include "settings/foreign/foreign_settings.h"
#include "settings/foreign/key_search.h"
#include "settings/foreign/translation.h"
#include "settings/foreign/words.h"
#include "settings/settings_table.h"

namespace dray::settings {
namespace {

using Text = std::string_view;
using Environment = std::map<std::string, std::string>;

// Properties whose values no message may show.
bool IsSecret(Text property) {
  return property == "api_key" || property == "management_api_key" || property == "keystore_pass";
}

// A setting's value as messages show it.
std::string Quote(const Setting& setting, Text value) {
  return IsSecret(setting.property) && !value.empty() ? "a secret" : fmt::format("\"{}\"", value);
}

// Applies sources from the weakest to the strongest.
class SourceReader {
 public:
  // `source` names the properties in messages.
  Status ApplyConfig(const Properties& properties, Text source);
  Status ApplyEnvironment(const Environment& environment);
  // The variables that DJLServing reads after serving.properties.
  Status ApplyStrongVariables(const Environment& environment);
  Status ApplyModelProperties(const Properties& properties, Text source);
  Status ApplyFlags(const std::map<std::string, std::string>& flags);
  Result<LoadedSettings> Finish();

 private:
  // Sets it, unless the same source has said something else under another spelling.
  Status Set(const Setting& setting, const std::string& value, const std::string& where);
  void BeginSource() { given_.clear(); }
  // Sets or notes a key of any table. Returns false if no table has it.
  Result<bool> Take(Text property, const std::string& value, const std::string& where);
  Status ApplyVariables(const Environment& environment, EnvironmentVariable::Strength strength);
  // OPTION_*, SERVING_* and SM_VLLM_*.
  Status ApplyPrefixed(const std::string& name, const std::string& value);
  void Warn(std::string warning) { out_.warnings.push_back(std::move(warning)); }

  LoadedSettings out_;
  std::map<std::string, ForeignValue> foreign_;
  // Every key that has been given, by property: what CheckContradictions needs.
  std::map<std::string, ForeignValue> all_;
  std::map<Text, ForeignValue> given_;
};

Status SourceReader::Set(const Setting& setting, const std::string& value,
                         const std::string& where) {
  const auto [earlier, is_new] = given_.try_emplace(setting.property, ForeignValue{value, where});
  if (!is_new && earlier->second.value != value) {
    return Status(
        StatusCode::kInvalidArgument,
        fmt::format("{} is {}, but {} is {}; they mean the same; remove one", earlier->second.where,
                    Quote(setting, earlier->second.value), where, Quote(setting, value)));
  }
  const Status status = setting.set(out_.settings, value);
  if (status.ok()) return OkStatus();
  return Status(status.code(),
                fmt::format("{} is {}; {}", where, Quote(setting, value), status.message()));
}

Result<bool> SourceReader::Take(Text property, const std::string& value, const std::string& where) {
  const Setting* const setting = FindSetting(property);
  const auto foreign = FindForeignSetting(property);
  const Text known = setting != nullptr ? setting->property : foreign.value_or(property);
  if (const Translation* nearest = FindTranslation(known, value)) {
    Warn(fmt::format("{} is \"{}\", which dray does not have; {}={} is used in its place", where,
                     value, nearest->to_property, nearest->to_value));
    return Take(nearest->to_property, std::string(nearest->to_value), where);
  }
  all_[std::string(known)] = {value, where};
  if (setting != nullptr) {
    DRAY_RETURN_IF_ERROR(Set(*setting, value, where));
    return true;
  }
  if (foreign) foreign_[std::string(*foreign)] = {value, where};
  return foreign.has_value();
}

Status SourceReader::ApplyConfig(const Properties& properties, Text source) {
  BeginSource();
  for (const auto& [key, value] : properties) {
    const std::string where = fmt::format("{}: {}", source, key);
    bool is_known = false;
    if (!Text(key).starts_with("option.")) {
      DRAY_ASSIGN_OR_RETURN(is_known, Take(key, value, where));
    }
    if (!is_known) {
      Warn(fmt::format("{} is not a server setting that dray knows; it has no effect{}", where,
                       Suggestion(key)));
    }
  }
  return OkStatus();
}

Status SourceReader::ApplyVariables(const Environment& environment,
                                    EnvironmentVariable::Strength strength) {
  std::map<Text, Text> names;  // [property]: the last variable that set it
  for (const EnvironmentVariable& variable : EnvironmentVariables()) {
    const auto found = environment.find(std::string(variable.name));
    // DJLServing ignores empty ones.
    const bool is_set = found != environment.end() && !found->second.empty();
    if (!is_set || variable.strength != strength) continue;
    const Text weaker = std::exchange(names[variable.property], variable.name);
    if (!weaker.empty()) {
      Warn(fmt::format("environment: {} goes over {}, which stands for the same key", variable.name,
                       weaker));
    }
    BeginSource();
    DRAY_RETURN_IF_ERROR(Take(variable.property, found->second + std::string(variable.unit),
                              "environment: " + found->first)
                             .status());
  }
  return OkStatus();
}

Status SourceReader::ApplyPrefixed(const std::string& name, const std::string& value) {
  const std::string where = "environment: " + name;
  if (Text(name).starts_with("ARGS_")) {
    Warn(fmt::format(
        "{} is an argument of a translator, which dray does not have; it has no effect", where));
    return OkStatus();
  }
  const std::string property = PropertyOfVariable(name);
  // DJLServing ignores empty ones too; in vLLM's image an empty value stands for a bare flag.
  const bool is_flag = value.empty() && Text(name).starts_with("SM_VLLM_");
  // An empty key is one that somebody forgot to fill in, and the server would be open without it.
  const bool is_key = property == "api_key" || property == "management_api_key";
  if (property.empty() || (value.empty() && !is_flag && !is_key)) return OkStatus();
  DRAY_ASSIGN_OR_RETURN(const bool is_known, Take(property, is_flag ? "true" : value, where));
  if (!is_known) {
    Warn(fmt::format("{} is no setting that dray knows; it has no effect{}", where,
                     Suggestion(property)));
  }
  return OkStatus();
}

Status SourceReader::ApplyEnvironment(const Environment& environment) {
  BeginSource();
  // Names that other programs gave a meaning; the prefixed ones below go over them.
  for (const auto& [name, value] : environment) {
    if (value.empty()) continue;
    for (const Setting& setting : SettingTable()) {
      if (!ListHolds(setting.environment, name)) continue;
      DRAY_RETURN_IF_ERROR(Take(setting.property, value, "environment: " + name).status());
    }
    for (const ForeignSetting& variable : VariableSettings()) {
      if (variable.property == name) foreign_[name] = {value, "environment: " + name};
    }
  }
  DRAY_RETURN_IF_ERROR(ApplyVariables(environment, EnvironmentVariable::Strength::kWeak));
  BeginSource();
  for (const auto& [name, value] : environment) {
    DRAY_RETURN_IF_ERROR(ApplyPrefixed(name, value));
  }
  return OkStatus();
}

Status SourceReader::ApplyStrongVariables(const Environment& environment) {
  return ApplyVariables(environment, EnvironmentVariable::Strength::kStrong);
}

Status SourceReader::ApplyModelProperties(const Properties& properties, Text source) {
  BeginSource();
  for (const auto& [key, value] : properties) {
    const std::string where = fmt::format("{}: {}", source, key);
    const Setting* const setting = FindSetting(key);
    if (setting != nullptr && setting->scope == Setting::Scope::kServer) {
      const std::string flag = setting->flag.empty() ? "" : fmt::format("--{} or ", setting->flag);
      Warn(fmt::format("{} is a setting of the server, not of a model; use {}{}", where, flag,
                       EnvironmentName(setting->property)));
      continue;
    }
    DRAY_ASSIGN_OR_RETURN(const bool is_known, Take(key, value, where));
    if (is_known) continue;
    const std::string suggestion = Suggestion(key);
    if (Text(key).starts_with("option.") && !suggestion.empty()) {
      return Status(StatusCode::kInvalidArgument,
                    fmt::format("{} is no setting that dray knows{}", where, suggestion));
    }
    Warn(fmt::format("{} is no setting that dray knows; it has no effect{}", where, suggestion));
  }
  return OkStatus();
}

Status SourceReader::ApplyFlags(const std::map<std::string, std::string>& flags) {
  BeginSource();
  for (const auto& [flag, value] : flags) {
    const auto known =
        std::find_if(SettingTable().begin(), SettingTable().end(),
                     [&flag = flag](const Setting& setting) { return setting.flag == flag; });
    if (known == SettingTable().end()) {
      return Status(StatusCode::kInvalidArgument, fmt::format("there is no flag --{}", flag));
    }
    DRAY_RETURN_IF_ERROR(Take(known->property, value, "--" + flag).status());
  }
  return OkStatus();
}

Result<LoadedSettings> SourceReader::Finish() {
  DRAY_ASSIGN_OR_RETURN(const auto yielding, ResolveContradictions(all_));
  for (const YieldingKey& key : yielding) {
    if (const auto found = foreign_.find(key.property); found != foreign_.end()) {
      found->second.value = key.value;
    }
    Warn(key.warning);
  }
  DRAY_ASSIGN_OR_RETURN(const EngineChoice engine, ChooseEngine(foreign_));
  if (!engine.note.empty()) out_.notes.push_back(engine.note);
  DRAY_RETURN_IF_ERROR(CheckForeignSettings(foreign_, out_.warnings));
  ModelSettings& model = out_.settings.model;
  model.engine = engine.engine;
  model.has_built_in_handler = engine.has_built_in_handler;
  if (!all_.contains("option.max_rolling_batch_size")) {
    model.max_rolling_batch_size = engine.max_rolling_batch_size;
  }
  if (!model.answer_shape) model.answer_shape = engine.answer_shape;
  model.faster_transformer_beams = engine.faster_transformer_beams;
  DRAY_RETURN_IF_ERROR(MakeSpeculation(model.speculation).status());
  DRAY_RETURN_IF_ERROR(MakeQuantization(model.dtype, model.quantization).status());
  return std::move(out_);
}

}  // namespace

Result<LoadedSettings> LoadSettings(const SettingSources& sources) {
  SourceReader reader;
  DRAY_RETURN_IF_ERROR(reader.ApplyConfig(sources.container_defaults, "container"));
  DRAY_RETURN_IF_ERROR(reader.ApplyConfig(sources.config_properties, "config.properties"));
  DRAY_RETURN_IF_ERROR(reader.ApplyEnvironment(sources.environment));
  DRAY_RETURN_IF_ERROR(
      reader.ApplyModelProperties(sources.serving_properties, "serving.properties"));
  DRAY_RETURN_IF_ERROR(reader.ApplyStrongVariables(sources.environment));
  DRAY_RETURN_IF_ERROR(reader.ApplyFlags(sources.flags));
  DRAY_RETURN_IF_ERROR(reader.ApplyModelProperties(sources.registration, "registration"));
  return reader.Finish();
}

std::map<std::string, std::string> ReadEnvironment() {
  std::map<std::string, std::string> out;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const Text text(*entry);
    const size_t equals = text.find('=');
    if (equals != Text::npos) out.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return out;
}

}  // namespace dray::settings
