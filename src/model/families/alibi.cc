#include "model/families/alibi.h"

#include <bit>
#include <cmath>

namespace dray::model {

std::vector<float> AlibiSlopes(int64_t num_heads) {
  const auto power = static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(num_heads)));
  const auto base = static_cast<double>(power);
  std::vector<float> slopes;
  for (int64_t k = 0; k < power; ++k) {
    slopes.push_back(static_cast<float>(std::exp2(-8.0 * static_cast<double>(k + 1) / base)));
  }
  for (int64_t i = 0; static_cast<int64_t>(slopes.size()) < num_heads; ++i) {
    slopes.push_back(static_cast<float>(std::exp2(-4.0 * static_cast<double>(2 * i + 1) / base)));
  }
  return slopes;
}

}  // namespace dray::model
