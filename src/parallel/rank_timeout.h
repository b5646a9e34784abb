// The time limit of waits for another rank.
#pragma once

#include <chrono>

namespace dray::parallel {

// A rank that computes a step, of however long a prompt, comes to its next call within a fraction
// of this.
inline constexpr auto kRankTimeout = std::chrono::seconds(60);

}  // namespace dray::parallel
