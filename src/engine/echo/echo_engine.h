// An engine without a model: it answers each request with the tokens of its prompt, one for each
// sequence in each step. It is for measuring what the rest of the server costs, and for testing
// clients.
//
// Threads: as engine.h says; owns one thread, on which all events are sent.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>

#include "engine/engine.h"

namespace dray::engine {

struct EchoOptions {
  int64_t vocab_size = 0;  // at least 1
  // Comes after the prompt's last token. In [0, vocab_size).
  int32_t end_token = 0;
  // Prompt and new tokens together.
  int64_t max_context_tokens = 0;
  // The time between two tokens of a sequence. 0: the next step begins at once.
  std::chrono::milliseconds token_interval{0};
};

// Starts the engine's thread. A sequence is the prompt and the end token. If the end token may not come yet
// (ignore_eos, min_new_tokens), the prompt is repeated. Every token has the log-probability 0, as the only
// possible one. Parameters that choose among tokens change nothing. Destroying the engine ends every open
// request with kCancelled.
std::unique_ptr<Engine> StartEchoEngine(const EchoOptions& options);

}  // namespace dray::engine
