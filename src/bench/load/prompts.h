// The texts that the load generator's clients send.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/status.h"

namespace dray::bench {

// The number of tokens of a text. If absent, each word is taken as one token.
using CountTokens = std::function<Result<int64_t>(const std::string& text)>;

// `count` texts of random common words, all different, so that a server cannot answer one from its
// cache of another. Each has about `tokens` tokens, and exactly that many where words of one token
// make it possible.
Result<std::vector<std::string>> RandomPrompts(int64_t count, int64_t tokens, uint64_t seed,
                                               const CountTokens& count_tokens);

// Reads a text file with a prompt on each line, or JSON: an array of texts, of objects with
// "prompt", "text" or "inputs", or of ShareGPT conversations, of which the first human turn is
// taken.
Result<std::vector<std::string>> ReadPrompts(const std::filesystem::path& path);

}  // namespace dray::bench
