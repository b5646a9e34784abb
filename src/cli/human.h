// Figures as people read them.
#pragma once

#include <cstdint>
#include <string>

namespace dray::cli {

// "2.62 GB": powers of 1000, as disks and bandwidths are sold.
std::string HumanBytes(uint64_t bytes);
// "1.41 B" parameters.
std::string HumanCount(int64_t count);

}  // namespace dray::cli
