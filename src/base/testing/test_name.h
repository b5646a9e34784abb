// Names of parametrised tests.
#pragma once

#include <algorithm>
#include <cctype>
#include <string>

namespace dray {

// `text` with an underscore in place of every character that googletest allows in no name.
inline std::string AsTestName(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return text;
}

}  // namespace dray
