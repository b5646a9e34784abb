// Rotary frequencies and the cosine / sine rows that kernels::RopeAndCacheArgs names.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/config/stack_config.h"

namespace dray::model {

// rope.dim / 2 inverse frequencies, as used when `seq_len` tokens are known. Only
// RopeScaling::kDynamic depends on it.
std::vector<float> InverseFrequencies(const RopeConfig& rope, int64_t seq_len);

// Writes one row for `position`: rope.dim / 2 cosines, then as many
// sines, times rope.attention_factor.
void WriteCosSin(const RopeConfig& rope, std::span<const float> inverse_frequencies,
                 int64_t position, std::span<float> row);

}  // namespace dray::model
