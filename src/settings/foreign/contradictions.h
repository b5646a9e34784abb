// Pairs of keys that exclude each other, because each asks for another way to batch or to place workers. DJLServing
// refuses some of them, and of the others goes by one key alone.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

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
  // What the second key is taken for; "": the two are refused.
  std::string_view second_becomes = "";
};

std::span<const Contradiction> Contradictions();

// A key that is taken for another value than it has.
struct YieldingKey {
  std::string property;
  std::string value;
  std::string warning;
};

// `given`: all keys that any source has set, by property. kInvalidArgument names both keys of a pair that is refused.
Result<std::vector<YieldingKey>> ResolveContradictions(
    const std::map<std::string, ForeignValue>& given);

}  // namespace dray::settings
