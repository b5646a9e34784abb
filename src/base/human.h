// Figures in the form that people read.
#pragma once

#include <cstdint>
#include <string>

namespace dray {

// "2.62 GB": a unit is a power of 1000, as for disks and bandwidths.
std::string HumanBytes(uint64_t bytes);
// "1.41 B", e.g. of parameters.
std::string HumanCount(int64_t count);

}  // namespace dray
