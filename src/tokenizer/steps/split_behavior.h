// What becomes of the matches when a text is cut by a pattern.
#pragma once

#include <string_view>
#include <vector>

#include "base/status.h"
#include "tokenizer/json_node.h"
#include "tokenizer/models/piece.h"
#include "tokenizer/text/regex.h"

namespace dray::tokenizer {

enum class SplitBehavior {
  kRemoved,             // the matches are dropped
  kIsolated,            // each match is a piece
  kMergedWithPrevious,  // each match ends the piece before it
  kMergedWithNext,      // each match begins the piece after it
  kContiguous,          // neighbouring matches are one piece
};

// The behaviour named by `node`.
Result<SplitBehavior> LoadSplitBehavior(const JsonNode& node);

// Cuts `piece` at `matches` (which cover it) and appends the pieces that are not empty. `matches`
// is used up.
void SplitPiece(const Piece& piece, std::vector<Match>& matches, SplitBehavior behavior,
                std::vector<Piece>& out);

}  // namespace dray::tokenizer
