// Java .properties text, as serving.properties uses it: `key = value`, `key: value` or `key value`,
// # and ! comments, backslash escapes (\n, \t, \uXXXX, escaped separators) and line continuation.
//
// As in Java, \uXXXX is one unit of UTF-16, so a character beyond U+FFFF is written as two of them.
// Half of such a pair is an error here: Java would keep it in its string, but UTF-8 cannot hold it.
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
