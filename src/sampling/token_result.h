// The results of sampling: why a sequence ended, and the log-probability of a token. The engine's
// events, the text events of serving/ and the API's answers use these types.
#pragma once

#include <cstdint>

namespace dray::sampling {

// Why a sequence has ended.
enum class FinishReason {
  kEosToken,    // an end token of the model
  kStopToken,   // one of the request's stop_token_ids
  kStopString,  // one of the request's stop_strings; only serving/ sees text
  kLength,      // max_new_tokens, or a full context
};

// A token and the model's own log-probability of it (see logits.h).
struct TokenLogprob {
  int32_t id = 0;
  float logprob = 0;
};

}  // namespace dray::sampling
