// DJLServing's names for parameters: those of its own schema, and those of transformers' generate() and
// of FasterTransformer, which handlers up to 0.23 passed on.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "api/parameters.h"

namespace dray::api {

std::span<const ParameterSpelling> DjlParameters();

std::span<const ParameterSpelling> TransformersParameters();

// How a request of either kind spells the parameter that reasons call `name`, with quotation marks.
std::string SpellDjlParameter(std::string_view name);
std::string SpellTransformersParameter(std::string_view name);

}  // namespace dray::api
