// How much working memory an encoder takes, before it is made.
#pragma once

#include <cstdint>

#include "model/config/model_config.h"
#include "model/forward/encoder.h"
#include "model/forward/kv_cache.h"

namespace dray::model {

// The memory of keys and values: one layer's, which all layers use in turn.
KvCacheSpec EncoderCacheSpec(const EncoderLimits& limits);
// 32-bit words of the arrays of indices.
int64_t EncoderIndexWords(const EncoderLimits& limits);

// Bytes of the device's memory that Encoder::Make allocates. Operations take some more while they
// compute. `stack` is the rank's part of config.stack.
int64_t EncoderMemoryBytes(const ModelConfig& config, const StackConfig& stack,
                           const EncoderLimits& limits);

}  // namespace dray::model
