// The one table of known keys. The command line's flags and docs/configuration.md are made from it.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/status.h"
#include "settings/settings.h"

namespace dray::settings {

// One known key.
struct Setting {
  // As serving.properties ("option.dtype") or config.properties ("max_request_size") spells it.
  std::string_view property;
  // Of `dray serve`, without its dashes; "" for secrets, which command lines would show to all users.
  std::string_view flag;
  // What stands for the value in help texts: "N", "FOLDER", ...
  std::string_view value;
  std::string_view default_text;
  std::string_view doc;
  // Where it may stand: a model's serving.properties cannot set what belongs to the whole server.
  enum class Scope { kServer, kModel } scope;
  // Other spellings of `property`, and environment variables beside the derived one, by spaces.
  std::string_view aliases;
  std::string_view environment;
  // The error says what the value must be; the caller says which key and where.
  Status (*set)(Settings& settings, std::string_view value);
};

std::span<const Setting> SettingTable();
// "OPTION_DTYPE" for "option.dtype", "SERVING_JOB_QUEUE_SIZE" for "job_queue_size".
std::string EnvironmentName(std::string_view property);

}  // namespace dray::settings
