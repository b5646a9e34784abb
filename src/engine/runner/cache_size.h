// How large the key/value cache and the context of an engine are, from options, model
// and free memory.
#pragma once

#include "base/status.h"
#include "engine/engine_options.h"
#include "engine/runner/loaded_model.h"
#include "model/forward/kv_cache.h"

namespace dray::engine {

struct CacheSize {
  model::KvCacheSpec spec;
  int64_t max_context_tokens = 0;
};

// The number format of keys and values that fits the format of the tables around the layers.
DType KvDTypeBeside(kernels::WeightFormat table_format);
// The number format of keys and values: options.kv_dtype, or else one that fits the weights.
DType KvDType(const LoadedModel& model, const EngineOptions& options);

// Chooses the number of blocks and the longest context. `more_block_bytes` is what each block takes
// beside the model's keys and values, namely those of a draft model. kInvalidArgument if an option
// is out of range, kResourceExhausted if one sequence of max_context_tokens does not fit; the
// message names the figures and the option to change. If max_context_tokens is not set, the context
// shrinks to what fits.
Result<CacheSize> ChooseCacheSize(const LoadedModel& model, const EngineOptions& options,
                                  int64_t more_block_bytes = 0);

}  // namespace dray::engine
