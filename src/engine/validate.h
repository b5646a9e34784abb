// What is wrong with a request, before an engine takes it.
#pragma once

#include <cstdint>
#include <span>

#include "base/status.h"
#include "engine/engine.h"

namespace dray::engine {

// kInvalidArgument, naming what is out of range and the limit.
Status Validate(const GenerateRequest& request, const EngineLimits& limits);

// kInvalidArgument if the request asks for log-probabilities of a prompt that an encoder reads: it
// predicts none of its tokens.
Status CheckPromptLogprobs(const sampling::SamplingParams& params, const EngineLimits& limits);

// At least one token, and all of the vocabulary.
Status ValidateTokens(std::span<const int32_t> tokens, int64_t vocab_size);

}  // namespace dray::engine
