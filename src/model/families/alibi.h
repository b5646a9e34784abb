// ALiBi: a fixed slope per head, times the key's position, is added to each attention score.
#pragma once

#include <cstdint>
#include <vector>

namespace dray::model {

// With p the largest power of two <= num_heads, head k < p has slope 2^(-8 (k + 1) / p); the rest
// take every other slope of the series for 2 p heads, 2^(-4 (2 i + 1) / p), i = 0, 1, ... As
// transformers' build_alibi_tensor orders them.
std::vector<float> AlibiSlopes(int64_t num_heads);

}  // namespace dray::model
