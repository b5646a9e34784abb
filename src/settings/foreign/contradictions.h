// Pairs of keys that DJLServing refuses together, because each asks for another way to batch or to place
// workers.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"
#include "settings/foreign/engine_choice.h"

namespace dray::settings {

struct Contradiction {
  // What a key must ask for so that it excludes its partner: a number above 1, yes, any rolling batch
  // but "disable", a rolling batch of a named kind.
  enum class When { kAboveOne, kTrue, kRollingBatch, kNamedRollingBatch };

  std::string_view first;
  When first_when;
  std::string_view second;
  When second_when;
  std::string_view reason;
};

std::span<const Contradiction> Contradictions();

// `given`: all keys that any source has set, by property. kInvalidArgument names both keys.
Status CheckContradictions(const std::map<std::string, ForeignValue>& given);

}  // namespace dray::settings
