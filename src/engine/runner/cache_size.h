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

// How keys and values are stored, by the options or by the weights' format.
DType KvDType(const LoadedModel& model, const EngineOptions& options);

// `more_block_bytes`: what else each block takes, for a draft model's keys and values.
// kInvalidArgument if an option is out of range, kResourceExhausted if one sequence of
// max_context_tokens does not fit; the message names the figures and the option to change. Without
// max_context_tokens the context shrinks to what fits.
Result<CacheSize> ChooseCacheSize(const LoadedModel& model, const EngineOptions& options,
                                  int64_t more_block_bytes = 0);

}  // namespace dray::engine
