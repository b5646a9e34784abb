#include "settings/foreign/key_search.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "settings/foreign/foreign_settings.h"
#include "settings/foreign/words.h"

namespace dray::settings {
namespace {

using Text = std::string_view;

constexpr Text kOption = "option.";

struct Prefix {
  Text variable;
  Text property;
};
constexpr std::array<Prefix, 3> kPrefixes = {
    {{"OPTION_", kOption}, {"SM_VLLM_", kOption}, {"SERVING_", ""}}};

// Remembers the known key that is nearest to a given one.
class Nearest {
 public:
  explicit Nearest(Text given) : given_(given) {
    const size_t letters = given.size() - (given.starts_with(kOption) ? kOption.size() : 0);
    distance_ = std::min<size_t>(letters / 3, 3) + 1;
  }

  void Offer(Text key) {
    const size_t distance = EditDistance(given_, key);
    if (distance >= distance_) return;
    distance_ = distance;
    key_ = key;
  }
  Text key() const { return key_; }

 private:
  Text given_, key_;
  size_t distance_;  // of key_; at first, one more than what counts as near
};

}  // namespace

const Setting* FindSetting(Text property) {
  for (const Setting& setting : SettingTable()) {
    if (EqualsIgnoreCase(setting.property, property) || ListHolds(setting.aliases, property)) {
      return &setting;
    }
  }
  return nullptr;
}

std::string PropertyOfVariable(Text name) {
  if (name == "OPTION_ENGINE") return "engine";
  for (const Prefix& prefix : kPrefixes) {
    if (!name.starts_with(prefix.variable)) continue;
    return std::string(prefix.property) + ToLower(name.substr(prefix.variable.size()));
  }
  return "";
}

std::string Suggestion(Text property) {
  constexpr size_t kLongestKey = 100;
  if (property.size() > kLongestKey) return "";
  Nearest nearest(property);
  for (const Setting& setting : SettingTable()) nearest.Offer(setting.property);
  for (const EngineKey& key : EngineKeys()) nearest.Offer(key.property);
  for (const ForeignTable& table : ForeignTables()) {
    for (const ForeignSetting& row : table.rows) nearest.Offer(row.property);
  }
  return nearest.key().empty() ? "" : fmt::format("; did you mean {}?", nearest.key());
}

}  // namespace dray::settings
