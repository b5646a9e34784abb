#include "settings/foreign/contradictions.h"

#include <fmt/format.h>

#include "base/parse/parse_number.h"
#include "settings/foreign/words.h"

namespace dray::settings {
namespace {

using Text = std::string_view;

using When = Contradiction::When;

bool Holds(When when, Text value) {
  switch (when) {
    case When::kAboveOne:
      return ParseInt64(value).value_or(0) > 1;
    case When::kTrue:
      return ListHolds("true huggingface", value);
    case When::kRollingBatch:
      return !EqualsIgnoreCase(value, "disable");
    case When::kNamedRollingBatch:
      return !ListHolds("disable auto", value);
  }
  return false;
}

constexpr Text kBatches = "requests are batched dynamically, batch_size at a time";
constexpr Text kStreams = "a dynamic batch cannot be streamed; remove batch_size";

constexpr Contradiction kContradictions[] = {
    {"batch_size", When::kAboveOne, "option.rolling_batch", When::kRollingBatch, kBatches,
     "disable"},
    {"batch_size", When::kAboveOne, "option.enable_streaming", When::kTrue, kStreams},
    {"option.async_mode", When::kTrue, "option.rolling_batch", When::kNamedRollingBatch,
     "asynchronous mode and a rolling batch exclude each other; remove option.rolling_batch"},
    {"option.lmcache_auto_config", When::kTrue, "maxWorkers", When::kAboveOne,
     "the cache's size is for one worker; set maxWorkers to 1"},
};

}  // namespace

std::span<const Contradiction> Contradictions() { return kContradictions; }

Result<std::vector<YieldingKey>> ResolveContradictions(
    const std::map<std::string, ForeignValue>& given) {
  std::vector<YieldingKey> yielding;
  for (const Contradiction& pair : kContradictions) {
    const auto first = given.find(std::string(pair.first));
    const auto second = given.find(std::string(pair.second));
    if (first == given.end() || second == given.end()) continue;
    if (!Holds(pair.first_when, first->second.value) ||
        !Holds(pair.second_when, second->second.value)) {
      continue;
    }
    const std::string both =
        fmt::format("{} is \"{}\" and {} is \"{}\": {}", first->second.where, first->second.value,
                    second->second.where, second->second.value, pair.reason);
    if (pair.second_becomes.empty()) return Status(StatusCode::kInvalidArgument, both);
    yielding.push_back(
        {std::string(pair.second), std::string(pair.second_becomes),
         fmt::format("{}, and {} is taken for {}", both, pair.second, pair.second_becomes)});
  }
  return yielding;
}

}  // namespace dray::settings
