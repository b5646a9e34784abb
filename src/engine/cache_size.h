// How large the key/value cache and the context of an engine are, from options, model and free
// memory.
#pragma once

#include "base/status.h"
#include "engine/engine_options.h"
#include "engine/loaded_model.h"
#include "model/kv_cache.h"

namespace dray::engine {

struct CacheSize {
  model::KvCacheSpec spec;
  int64_t max_context_tokens = 0;
};

// kInvalidArgument if an option is out of range, kResourceExhausted if one sequence of
// max_context_tokens does not fit; the message names the figures and the option to change. Without
// max_context_tokens the context shrinks to what fits.
Result<CacheSize> ChooseCacheSize(const LoadedModel& model, const EngineOptions& options);

// Bytes that this process can still take: MemAvailable, cut to the cgroup's limit.
int64_t AvailableMemoryBytes();

}  // namespace dray::engine
