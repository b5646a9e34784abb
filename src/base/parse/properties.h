// Java .properties text, as serving.properties uses it: `key = value`, `key: value` or `key value`,
// # and ! comments, backslash escapes (\n, \t, \uXXXX, escaped separators) and line continuation.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/status.h"

namespace dray {

using Properties = std::map<std::string, std::string>;

// The last of two equal keys wins, as in Java. Errors name the line.
Result<Properties> ParseProperties(std::string_view text);

}  // namespace dray
