// The sources, one over the other. Which keys there are is in
// settings_table.cc and foreign_settings.cc.
#include "settings/load_settings.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <utility>

#include "settings/foreign_settings.h"
#include "settings/settings_table.h"

namespace dray::settings {
namespace {

using Text = std::string_view;

std::string ToLower(Text text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

bool ListHolds(Text list, Text word) {
  while (!list.empty()) {
    const size_t end = std::min(list.find(' '), list.size());
    if (list.substr(0, end) == word) return true;
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return false;
}

const Setting* FindSetting(Text property) {
  for (const Setting& setting : SettingTable()) {
    if (setting.property == property || ListHolds(setting.aliases, property)) return &setting;
  }
  return nullptr;
}

// How many single-letter edits lie between two words.
size_t EditDistance(Text a, Text b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, replaced}));
    }
  }
  return row[b.size()];
}

// "; did you mean ...?", if something is near.
std::string Suggestion(Text property) {
  if (property.size() > 100) return "";
  const Setting* nearest = nullptr;
  size_t distance = 4;
  for (const Setting& setting : SettingTable()) {
    const size_t d = EditDistance(property, setting.property);
    if (d < distance) {
      distance = d;
      nearest = &setting;
    }
  }
  return nearest == nullptr ? "" : fmt::format("; did you mean {}?", nearest->property);
}

// Applies sources from the weakest to the strongest.
class SourceReader {
 public:
  Status ApplyConfig(const Properties& properties);
  Status ApplyEnvironment(const std::map<std::string, std::string>& environment);
  // `source` names the properties in messages.
  Status ApplyModelProperties(const Properties& properties, Text source);
  Status ApplyFlags(const std::map<std::string, std::string>& flags);
  Result<LoadedSettings> Finish() {
    DRAY_RETURN_IF_ERROR(CheckForeignSettings(foreign_, out_.warnings));
    const ModelSettings& model = out_.settings.model;
    DRAY_RETURN_IF_ERROR(MakeSpeculation(model.speculation).status());
    DRAY_RETURN_IF_ERROR(MakeQuantization(model.dtype, model.quantization).status());
    return std::move(out_);
  }

 private:
  // Sets it, unless the same source has said something else under another spelling.
  Status Set(const Setting& setting, const std::string& value, std::string where);
  void BeginSource() { given_.clear(); }
  // True if `property` is one of DJLServing's that has no use here.
  bool TakeForeign(Text property, const std::string& value, std::string where);
  void Warn(std::string warning) { out_.warnings.push_back(std::move(warning)); }

  LoadedSettings out_;
  std::map<std::string, ForeignValue> foreign_;
  std::map<Text, ForeignValue> given_;
};

Status SourceReader::Set(const Setting& setting, const std::string& value, std::string where) {
  const auto [earlier, is_new] = given_.try_emplace(setting.property, ForeignValue{value, where});
  if (!is_new && earlier->second.value != value) {
    return Status(StatusCode::kInvalidArgument,
                  fmt::format("{} is \"{}\", but {} is \"{}\"; they mean the same; remove one",
                              earlier->second.where, earlier->second.value, where, value));
  }
  const Status status = setting.set(out_.settings, value);
  if (status.ok()) return OkStatus();
  return Status(status.code(), fmt::format("{} is \"{}\"; {}", where, value, status.message()));
}

bool SourceReader::TakeForeign(Text property, const std::string& value, std::string where) {
  const auto known = FindForeignSetting(property);
  if (known) foreign_[std::string(*known)] = {value, std::move(where)};
  return known.has_value();
}

Status SourceReader::ApplyConfig(const Properties& properties) {
  BeginSource();
  for (const auto& [key, value] : properties) {
    const std::string where = "config.properties: " + key;
    const Setting* const setting = FindSetting(key);
    if (setting != nullptr && !Text(key).starts_with("option.")) {
      DRAY_RETURN_IF_ERROR(Set(*setting, value, where));
    } else if (setting != nullptr || !TakeForeign(key, value, where)) {
      Warn(fmt::format("{} is not a server setting that dray knows; it has no effect", where));
    }
  }
  return OkStatus();
}

Status SourceReader::ApplyEnvironment(const std::map<std::string, std::string>& environment) {
  BeginSource();
  // Names that other programs gave a meaning; the prefixed ones below go over them.
  for (const auto& [name, value] : environment) {
    for (const Setting& setting : SettingTable()) {
      if (!ListHolds(setting.environment, name)) continue;
      DRAY_RETURN_IF_ERROR(Set(setting, value, "environment: " + name));
    }
    if (name == "TENSOR_PARALLEL_DEGREE" || name == "PIPELINE_PARALLEL_DEGREE") {
      TakeForeign("option." + ToLower(name), value, "environment: " + name);
    }
  }
  BeginSource();
  for (const auto& [name, value] : environment) {
    const bool is_option = Text(name).starts_with("OPTION_");
    if (!is_option && !Text(name).starts_with("SERVING_")) continue;
    const std::string where = "environment: " + name;
    const auto known = std::find_if(
        SettingTable().begin(), SettingTable().end(), [&name = name](const Setting& setting) {
          return EnvironmentName(setting.property) == name ||
                 (!setting.aliases.empty() && EnvironmentName(setting.aliases) == name);
        });
    const std::string bare = ToLower(Text(name).substr(is_option ? 7 : 8));
    if (known != SettingTable().end()) {
      DRAY_RETURN_IF_ERROR(Set(*known, value, where));
    } else if (name == "OPTION_ENGINE") {
      TakeForeign("engine", value, where);
    } else if (!TakeForeign(is_option ? "option." + bare : bare, value, where)) {
      Warn(fmt::format("{} is no setting that dray knows; it has no effect", where));
    }
  }
  return OkStatus();
}

Status SourceReader::ApplyModelProperties(const Properties& properties, Text source) {
  BeginSource();
  for (const auto& [key, value] : properties) {
    const std::string where = fmt::format("{}: {}", source, key);
    const Setting* const setting = FindSetting(key);
    if (setting != nullptr && setting->scope == Setting::Scope::kModel) {
      DRAY_RETURN_IF_ERROR(Set(*setting, value, where));
    } else if (setting != nullptr) {
      Warn(fmt::format("{} is a setting of the server, not of a model; use --{} or {}", where,
                       setting->flag, EnvironmentName(setting->property)));
    } else if (TakeForeign(key, value, where)) {
      continue;
    } else if (Text(key).starts_with("option.")) {
      return Status(StatusCode::kInvalidArgument,
                    fmt::format("{} is no setting that dray knows{}", where, Suggestion(key)));
    } else {
      Warn(fmt::format("{} is no setting that dray knows; it has no effect{}", where,
                       Suggestion(key)));
    }
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
    DRAY_RETURN_IF_ERROR(Set(*known, value, "--" + flag));
  }
  return OkStatus();
}

}  // namespace

Result<LoadedSettings> LoadSettings(const SettingSources& sources) {
  SourceReader reader;
  DRAY_RETURN_IF_ERROR(reader.ApplyConfig(sources.config_properties));
  DRAY_RETURN_IF_ERROR(reader.ApplyEnvironment(sources.environment));
  DRAY_RETURN_IF_ERROR(
      reader.ApplyModelProperties(sources.serving_properties, "serving.properties"));
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
