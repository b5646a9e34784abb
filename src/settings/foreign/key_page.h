// The page of the documentation that says, for every key and variable of the tables, what dray does.
#pragma once

#include <string>

namespace dray::settings {

// The whole of docs/configuration-keys.md, as Markdown.
std::string KeyPage();

}  // namespace dray::settings
