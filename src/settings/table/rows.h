// The parts of the settings table, in its order.
#pragma once

#include <cstdint>
#include <span>

#include "settings/settings_table.h"

namespace dray::settings {

inline constexpr int64_t kMaxSeconds = 365 * 24 * 3600;

std::span<const Setting> EngineRows();
std::span<const Setting> ServingRows();
std::span<const Setting> ServerRows();

}  // namespace dray::settings
