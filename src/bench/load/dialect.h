// Requests and answers of each kind of endpoint that the load generator can speak to.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/parse/json.h"
#include "base/status.h"

namespace dray::bench {

enum class Api {
  kOpenAi,      // POST /v1/completions
  kOpenAiChat,  // POST /v1/chat/completions
  kLmi,         // POST /invocations: dray and DJLServing
  kTgi,         // POST /generate_stream, /generate
};

// openai, openai-chat, lmi (or djl), tgi.
Result<Api> ParseApi(std::string_view name);
std::string_view Name(Api api);

enum class Delivery { kStreamed, kWhole };

// What a request asks for, apart from the prompt.
struct CallOptions {
  Api api = Api::kLmi;
  Delivery delivery = Delivery::kStreamed;
  std::string model = {};  // "": the field is left out
  int64_t new_tokens = 64;
  // Asks the server not to end early at an end token, if the API has a way to say so.
  bool ignore_eos = true;
};

// The path below the URL's prefix.
std::string_view TargetOf(const CallOptions& options);
std::string MakeBody(const CallOptions& options, const std::string& prompt);

// What one event of a stream, or a whole answer, contains.
struct ReplyEvent {
  // The new tokens that it says it has; 1 for an event with text.
  int64_t tokens = 0;
  // The tokens of the whole answer, if the server counts them.
  std::optional<int64_t> completion_tokens;
  std::optional<int64_t> prompt_tokens;
  std::optional<std::string> error;
};

// kCorrupt if the JSON is not an answer of this API.
Result<ReplyEvent> ReadEvent(Api api, const Json& json);

}  // namespace dray::bench
