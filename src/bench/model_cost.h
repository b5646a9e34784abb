// The cost of a forward pass of a model in memory.
#pragma once

#include "bench/pass_cost.h"
#include "engine/runner/loaded_model.h"

namespace dray::bench {

// `kv_token_bytes` is the size of one token's cache entries in all layers.
PassCost CostOf(const engine::LoadedModel& model, const PassShape& shape, double kv_token_bytes);

}  // namespace dray::bench
