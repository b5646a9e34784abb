#include "settings/foreign/key_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <string_view>

#include "settings/foreign/contradictions.h"
#include "settings/foreign/environment_names.h"
#include "settings/foreign/foreign_settings.h"
#include "settings/foreign/translation.h"
#include "settings/settings_table.h"

namespace dray::settings {
namespace {

using Text = std::string_view;

constexpr Text kIntroduction = R"(# Configuration keys

What dray does with every key and variable that DJLServing, its LMI containers, vLLM, TensorRT-LLM, SageMaker and
Text Generation Inference document. [configuration.md](configuration.md) explains dray's own settings, and which
source goes over which.

This page is printed by `dray keys` from the tables in `src/settings/`. A test compares it; to renew it run

    build/release/dray keys > docs/configuration-keys.md

)";

// The words of a list that spaces divide, each as code.
std::string Codes(Text list) {
  std::string out;
  while (!list.empty()) {
    const size_t end = std::min(list.find(' '), list.size());
    out += fmt::format("{}`{}`", out.empty() ? "" : ", ", list.substr(0, end));
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return out;
}

// The variables of a key: the derived one, and those that other programs have for it.
std::string VariablesOf(const Setting& setting) {
  std::string names = EnvironmentName(setting.property);
  const auto add = [&](Text name) {
    if (!name.empty()) names += " " + std::string(name);
  };
  add(setting.environment);
  for (const EnvironmentVariable& variable : EnvironmentVariables()) {
    if (variable.property == setting.property) add(variable.name);
  }
  return Codes(names);
}

std::string Honoured() {
  std::string out = "## Honoured\n\n| key | other spellings | variables |\n| --- | --- | --- |\n";
  for (const Setting& setting : SettingTable()) {
    out += fmt::format("| `{}` | {} | {} |\n", setting.property, Codes(setting.aliases),
                       VariablesOf(setting));
  }
  return out + "\n";
}

std::string Engines() {
  std::string out =
      "## Engines\n\ndray's own engine serves in place of those that these values choose, with the "
      "same options, and the\nlog says so.\n\n| key | values | any other value |\n| --- | --- | "
      "--- "
      "|\n";
  for (const EngineKey& key : EngineKeys()) {
    out +=
        fmt::format("| `{}` | {} | refused: {} |\n", key.property, Codes(key.values), key.reason);
  }
  return out + fmt::format(
                   "\nEntry points may begin with `djl_python.` and have `-` for `_`.\n\n"
                   "`engine={}` answers every request with its own text, without a model "
                   "([benchmarks.md](benchmarks.md)).\n\n",
                   kEchoEngine);
}

std::string Nearest() {
  std::string out =
      "## Nearest values\n\nThese become what comes nearest, with a warning.\n\n| key | value | is "
      "taken as |\n| --- | --- | --- |\n";
  for (const Translation& row : Translations()) {
    out += fmt::format("| `{}` | `{}` | `{}={}` |\n", row.property, row.value, row.to_property,
                       row.to_value);
  }
  return out + "\n";
}

Text What(ForeignSetting::Otherwise otherwise) {
  switch (otherwise) {
    case ForeignSetting::Otherwise::kIgnore:
      return "ignored";
    case ForeignSetting::Otherwise::kWarn:
      return "warned of";
    case ForeignSetting::Otherwise::kRefuse:
      return "refused";
  }
  return "";
}

std::string Answered(Text title, Text subject, std::span<const ForeignSetting> rows) {
  std::string out =
      fmt::format("## {}\n\n| {} | asks for nothing | any other value |\n| --- | --- | --- |\n",
                  title, subject);
  for (const ForeignSetting& row : rows) {
    out += fmt::format("| `{}` | {} | {}: {} |\n", row.property, Codes(row.natural),
                       What(row.otherwise), row.reason);
  }
  return out + "\n";
}

// The variables that stand for keys without a setting.
std::string OtherVariables() {
  std::string out = "## Variables for other keys\n\n| variable | key |\n| --- | --- |\n";
  for (const EnvironmentVariable& variable : EnvironmentVariables()) {
    if (!FindForeignSetting(variable.property)) continue;
    out += fmt::format("| `{}` | `{}` |\n", variable.name, variable.property);
  }
  return out + "\n";
}

std::string Exclusions() {
  std::string out = "## Keys that exclude each other\n\n| keys | together |\n| --- | --- |\n";
  for (const Contradiction& pair : Contradictions()) {
    const std::string what =
        pair.second_becomes.empty()
            ? "refused: "
            : fmt::format("`{}` is taken for `{}`: ", pair.second, pair.second_becomes);
    out += fmt::format("| `{}`, `{}` | {}{} |\n", pair.first, pair.second, what, pair.reason);
  }
  return out;
}

}  // namespace

std::string KeyPage() {
  std::string page(kIntroduction);
  page += Honoured() + Engines() + Nearest();
  for (const ForeignTable& table : ForeignTables()) {
    page += Answered(fmt::format("Other keys of {}", table.origin), "key", table.rows);
  }
  page += OtherVariables() + Answered("Other variables", "variable", VariableSettings());
  return page + Exclusions();
}

}  // namespace dray::settings
