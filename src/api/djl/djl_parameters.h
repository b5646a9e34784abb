// DJLServing's names for parameters.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "api/parameters.h"

namespace dray::api {

std::span<const ParameterSpelling> DjlParameters();

// How a DJLServing request spells the parameter that reasons call `name`, with quotation marks.
std::string SpellDjlParameter(std::string_view name);

}  // namespace dray::api
