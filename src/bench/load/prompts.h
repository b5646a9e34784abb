// What the load generator's clients ask.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/status.h"

namespace dray::bench {

// How many tokens a text is to the model; absent: a word is taken as one.
using CountTokens = std::function<Result<int64_t>(const std::string& text)>;

// `count` texts of random common words, no two alike, so that no server answers one from another's
// memory. About `tokens` long, exactly where words of one token make that possible.
Result<std::vector<std::string>> RandomPrompts(int64_t count, int64_t tokens, uint64_t seed,
                                               const CountTokens& count_tokens);

// A text file with a prompt on each line, or JSON: an array of texts, of objects with
// "prompt", "text" or "inputs", or of conversations as ShareGPT has them, of which the first
// human turn counts.
Result<std::vector<std::string>> ReadPrompts(const std::filesystem::path& path);

}  // namespace dray::bench
