// Tokens as JSON objects, as the handlers of several times write them.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/parse/json.h"
#include "serving/text_events.h"

namespace dray::api {

// What a schema calls a token's members.
struct TokenNames {
  std::string_view logprob;
  // Of special tokens only. "": the schema does not tell them apart.
  std::string_view special;
};

// {"id", "text", LOGPROB}; a log-probability that is not known is null.
Json TokenJson(int32_t id, std::string_view text, std::optional<float> logprob,
               const TokenNames& names);
// The same, with SPECIAL if it is one.
Json TokenJson(const serving::TextToken& token, const TokenNames& names);
// An array of them.
Json TokensJson(const std::vector<serving::TextToken>& tokens, const TokenNames& names);

}  // namespace dray::api
