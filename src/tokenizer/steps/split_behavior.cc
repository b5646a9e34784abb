#include "tokenizer/steps/split_behavior.h"

#include <algorithm>

namespace dray::tokenizer {
namespace {

// Joins each match to the part before it in the list's order, unless that part is a match, too.
// `join` widens a part by the next one.
template <typename Join>
void MergeMatches(std::vector<Match>& parts, const Join& join) {
  std::vector<Match> merged;
  bool previous_match = false;
  for (const Match& part : parts) {
    if (part.is_match && !previous_match && !merged.empty()) {
      join(merged.back(), part);
    } else {
      merged.push_back(part);
    }
    previous_match = part.is_match;
  }
  parts = std::move(merged);
}

void MergeEqual(std::vector<Match>& parts) {
  std::vector<Match> merged;
  bool previous_match = false;
  for (const Match& part : parts) {
    if (part.is_match == previous_match && !merged.empty()) {
      merged.back().end = part.end;
    } else {
      merged.push_back(part);
    }
    previous_match = part.is_match;
  }
  parts = std::move(merged);
}

}  // namespace

Result<SplitBehavior> LoadSplitBehavior(const JsonNode& node) {
  DRAY_ASSIGN_OR_RETURN(const std::string name, node.AsString());
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  return node.Unknown(name, "Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous");
}

void SplitPiece(const Piece& piece, std::vector<Match>& matches, SplitBehavior behavior,
                std::vector<Piece>& out) {
  switch (behavior) {
    case SplitBehavior::kRemoved:
    case SplitBehavior::kIsolated:
      break;
    case SplitBehavior::kMergedWithPrevious:
      MergeMatches(matches, [](Match& part, const Match& next) { part.end = next.end; });
      break;
    case SplitBehavior::kMergedWithNext:
      std::reverse(matches.begin(), matches.end());
      MergeMatches(matches, [](Match& part, const Match& next) { part.begin = next.begin; });
      std::reverse(matches.begin(), matches.end());
      break;
    case SplitBehavior::kContiguous:
      MergeEqual(matches);
      break;
  }
  for (const Match& match : matches) {
    if (match.begin == match.end) continue;
    if (behavior == SplitBehavior::kRemoved && match.is_match) continue;
    out.push_back(piece.Slice(match.begin, match.end));
  }
}

}  // namespace dray::tokenizer
