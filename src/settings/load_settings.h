// Settings from their sources: flags, serving.properties, the environment (OPTION_*, SERVING_* and the
// names of foreign/environment_names.h) and config.properties.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/parse/properties.h"
#include "base/status.h"
#include "settings/settings.h"

namespace dray::settings {

// Where values come from; each source overrides those above it.
struct SettingSources {
  Properties config_properties;
  // Below all others: foreign/container_defaults.h.
  Properties container_defaults = {};
  std::map<std::string, std::string> environment;
  Properties serving_properties;
  // By the flag's name, without dashes.
  std::map<std::string, std::string> flags;
  // What a client said when it registered the model: keys of serving.properties.
  Properties registration = {};
};

struct LoadedSettings {
  Settings settings;
  // Keys that are understood but have no effect here: one sentence for each, which names the key
  // and its source.
  std::vector<std::string> warnings;
  // What the log should say of the choices that were made.
  std::vector<std::string> notes;
};

// kInvalidArgument or kUnsupported for the first key that is wrong, unknown or contradictory; the
// message names the key, its source and its value.
Result<LoadedSettings> LoadSettings(const SettingSources& sources);

// This process's environment.
std::map<std::string, std::string> ReadEnvironment();

}  // namespace dray::settings
