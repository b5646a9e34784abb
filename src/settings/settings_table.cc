#include "settings/settings_table.h"

#include <cctype>
#include <vector>

#include "settings/table/rows.h"

namespace dray::settings {

std::span<const Setting> SettingTable() {
  static const std::vector<Setting> kTable = [] {
    std::vector<Setting> table;
    for (const auto rows : {EngineRows(), ServingRows(), ServerRows()}) {
      table.insert(table.end(), rows.begin(), rows.end());
    }
    return table;
  }();
  return kTable;
}

std::string EnvironmentName(std::string_view property) {
  std::string out;
  if (property.starts_with("option.")) {
    out = "OPTION_";
    property.remove_prefix(7);
  } else {
    out = "SERVING_";
  }
  for (const char c : property) {
    out += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return out;
}

}  // namespace dray::settings
