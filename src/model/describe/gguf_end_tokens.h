// Which tokens of a GGUF file end an answer. Its keys name one or two; others, such as the end of a
// turn, are known by their text alone.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/parse/json.h"

namespace dray::model {

// The value of "tokenizer.ggml.<name>_token_id" as a token's id. Nothing where the key is missing,
// or its number is none of the file's tokens: -1 and 4294967295 mean "none", and of any other a
// warning tells, which begins with `where`.
std::optional<int64_t> GgufTokenId(const Json& metadata, std::string_view name,
                                   const std::string& where);

// The ids of all tokens that end an answer, each once: those that the keys name, then those known
// by their text. Empty if the file has none.
std::vector<int64_t> GgufEndTokens(const Json& metadata, const std::string& where);

}  // namespace dray::model
