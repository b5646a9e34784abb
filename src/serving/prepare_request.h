// From a text request to one of token ids that fits the engine: the prompt is tokenized, lengths
// are decided, and every parameter is checked. Nothing is tokenized that is too large to be
// accepted.
#pragma once

#include <cstdint>

#include "engine/engine.h"
#include "serving/reasons.h"
#include "serving/text_codec.h"
#include "serving/text_events.h"

namespace dray::serving {

// `default_max_new_tokens` holds for a request that names no length. The reason is a status of kCancelled once
// `is_cancelled` says true.
OrReason<engine::GenerateRequest> PrepareRequest(const TextRequest& request, const TextCodec& codec,
                                                 const engine::EngineLimits& limits,
                                                 int64_t default_max_new_tokens,
                                                 const CancelCheck& is_cancelled);

}  // namespace dray::serving
