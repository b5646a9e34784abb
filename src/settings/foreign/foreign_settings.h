// Keys that other servers know and dray does not use. They are accepted if ignoring them makes no
// difference, cause a warning if it might, and are refused if the model would not be served as was
// asked. Separate from settings_table.h because none of them sets anything.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "settings/foreign/engine_choice.h"
#include "settings/foreign/foreign_setting.h"

namespace dray::settings {

// The keys that one server documents.
struct ForeignTable {
  std::string_view origin;
  std::span<const ForeignSetting> rows;
};

// All tables of keys; variables of the environment are in VariableSettings().
std::vector<ForeignTable> ForeignTables();

// The property as its server spells it, if it is one of these keys or of those that choose an engine;
// compared without case, as environment variables need it.
std::optional<std::string_view> FindForeignSetting(std::string_view property);

// Checks all that were given, by property or name of the variable. Warnings are appended.
Status CheckForeignSettings(const std::map<std::string, ForeignValue>& given,
                            std::vector<std::string>& warnings);

}  // namespace dray::settings
