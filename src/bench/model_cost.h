// The cost of a forward pass of a model in memory.
#pragma once

#include <cstdint>
#include <vector>

#include "bench/pass_cost.h"
#include "engine/runner/loaded_model.h"
#include "tensor/dtype.h"

namespace dray::bench {

// `kv_token_bytes` is the size of one token's cache entries in all layers.
PassCost CostOf(const engine::LoadedModel& model, const PassShape& shape, double kv_token_bytes);

// Of an encoder, for texts of these lengths. `kv_dtype` is the format of keys and values.
PassCost CostOfTexts(const engine::LoadedModel& model, const std::vector<int64_t>& lengths,
                     DType kv_dtype);

}  // namespace dray::bench
