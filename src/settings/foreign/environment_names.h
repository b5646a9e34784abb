// Variables of the environment that other programs document and that stand for a key. OPTION_*,
// SERVING_* and SM_VLLM_* are derived from their keys (load_settings.cc).
#pragma once

#include <span>
#include <string_view>

namespace dray::settings {

struct EnvironmentVariable {
  // How far its value goes: kWeak below OPTION_* and SERVING_*, kStrong over serving.properties.
  enum class Strength { kWeak, kStrong };

  std::string_view name;
  std::string_view property;
  Strength strength;
  std::string_view unit = "";  // is written behind the value: "M" for a number of MiB
};

// Of two variables for a key the later one goes over the earlier one.
std::span<const EnvironmentVariable> EnvironmentVariables();

}  // namespace dray::settings
