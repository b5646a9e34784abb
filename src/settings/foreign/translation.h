// Values of other servers that dray does not have, and the setting that comes nearest. They start the
// server with a warning, because they only choose how weights or the cache are stored.
#pragma once

#include <optional>
#include <span>
#include <string_view>

namespace dray::settings {

struct Translation {
  std::string_view property, value;        // as another server has them
  std::string_view to_property, to_value;  // what dray does in their place
};

std::span<const Translation> Translations();
// Compared without case.
const Translation* FindTranslation(std::string_view property, std::string_view value);

}  // namespace dray::settings
