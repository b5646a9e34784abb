// Keys that DJLServing knows and dray does not use. They are accepted if ignoring them makes no
// difference, cause a warning if it might, and are refused if the model would not be served as was
// asked. Separate from settings_table.cc because none of them sets anything.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace dray::settings {

// A value and where it stands, as errors name it: "serving.properties: engine".
struct ForeignValue {
  std::string value;
  std::string where;
};

// The property as DJLServing spells it, if it is one of these keys; compared without case, as
// environment variables need it.
std::optional<std::string_view> FindForeignSetting(std::string_view property);

// Checks all that were given, by property. Warnings are appended.
Status CheckForeignSettings(const std::map<std::string, ForeignValue>& given,
                            std::vector<std::string>& warnings);

}  // namespace dray::settings
