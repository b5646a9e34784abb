// The .ini files that Python's configparser writes: sections of keys and values.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/status.h"

namespace dray::checkpoint {

// [section][key]: the value, without spaces around it. Keys are in lower case, as configparser reads
// them.
using IniFile = std::map<std::string, std::map<std::string, std::string>>;

// Reads "[section]" and "key = value" (or "key: value") lines; empty lines and those that begin with
// "#" or ";" are skipped. kCorrupt, naming `what` and the line, for any other line, a section or key that stands
// twice, a key before the first section, or more than 10,000 lines.
Result<IniFile> ParseIni(std::string_view text, std::string_view what);

}  // namespace dray::checkpoint
