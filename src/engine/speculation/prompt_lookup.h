// Guesses from the sequence's own text: what followed the last time that it held its latest tokens.
// Good where answers quote their prompts or repeat themselves, and nearly free.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/speculation/drafter.h"

namespace dray::engine {

struct LookupMatch {
  int64_t length = 0;  // tokens that agree with the last ones; 0: none
  int64_t next = 0;    // index of the token that followed them
};

// The latest of the longest earlier occurrences of what `tokens` end with, of `min` to `max`
// tokens. Takes linear time.
LookupMatch FindLatestMatch(std::span<const int32_t> tokens, int64_t min, int64_t max);

// Appends `count` guesses to `drafts`, which is empty: the tokens from match.next on and, past the
// end, the guesses themselves, so that a text with a period goes on with it.
void CopyFromMatch(std::span<const int32_t> tokens, const LookupMatch& match, int64_t count,
                   std::vector<int32_t>& drafts);

// 1 <= min <= max.
std::unique_ptr<Drafter> MakePromptLookup(int64_t min, int64_t max);

}  // namespace dray::engine
