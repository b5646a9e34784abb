// Pairs of keys that DJLServing refuses together, because each asks for another way to batch or to place
// workers.
#pragma once

#include <map>
#include <string>

#include "base/status.h"
#include "settings/foreign/engine_choice.h"

namespace dray::settings {

// `given`: all keys that any source has set, by property. kInvalidArgument names both keys.
Status CheckContradictions(const std::map<std::string, ForeignValue>& given);

}  // namespace dray::settings
