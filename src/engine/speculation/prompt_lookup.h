// Guesses from the sequence's own text: it looks for an earlier occurrence of the latest tokens and
// guesses that the same tokens follow. This costs nearly nothing, and is good where answers quote
// their prompts or repeat themselves.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/speculation/drafter.h"

namespace dray::engine {

struct LookupMatch {
  int64_t length = 0;  // how many tokens agree with the last ones; 0: no match
  int64_t next = 0;    // index of the token that followed them
};

// Finds an earlier occurrence of the last tokens of `tokens`, of `min` to `max` tokens. Returns the
// longest, and the latest of several longest. Takes linear time.
LookupMatch FindLatestMatch(std::span<const int32_t> tokens, int64_t min, int64_t max);

// Appends `count` guesses to `drafts`, which must be empty: the tokens from match.next on and, past
// the end of `tokens`, the guesses themselves. So a periodic text goes on periodically.
void CopyFromMatch(std::span<const int32_t> tokens, const LookupMatch& match, int64_t count,
                   std::vector<int32_t>& drafts);

// 1 <= min <= max.
std::unique_ptr<Drafter> MakePromptLookup(int64_t min, int64_t max);

}  // namespace dray::engine
