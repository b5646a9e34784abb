#include "tokenizer/encoding.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace dray::tokenizer {
namespace {

void Shorten(std::vector<int32_t>& ids, size_t size, TruncationSide side) {
  if (ids.size() <= size) return;
  if (side == TruncationSide::kRight) {
    ids.resize(size);
  } else {
    ids.erase(ids.begin(), ids.end() - static_cast<std::ptrdiff_t>(size));
  }
}

// The shorter text stays whole while it has no more than half of the ids. Else both get a half, and the
// longer one the odd id.
void ShortenBoth(std::vector<int32_t>& first, std::vector<int32_t>& second, size_t max_ids,
                 TruncationSide side) {
  size_t small = std::min(first.size(), second.size());
  size_t large = small > max_ids ? small : std::max(small, max_ids - small);
  if (small + large > max_ids) {
    small = max_ids / 2;
    large = max_ids - small;
  }
  if (first.size() > second.size()) std::swap(small, large);
  Shorten(first, small, side);
  Shorten(second, large, side);
}

Status ShortenOne(std::vector<int32_t>& ids, size_t surplus, std::string_view which,
                  TruncationSide side) {
  if (ids.size() <= surplus) {
    return {StatusCode::kInvalidArgument,
            fmt::format("the {} text has {} ids, but {} would have to go: cut both texts "
                        "(longest_first), or allow more ids",
                        which, ids.size(), surplus)};
  }
  Shorten(ids, ids.size() - surplus, side);
  return OkStatus();
}

}  // namespace

Status Truncate(const Truncation& truncation, TruncationSide side,
                std::span<std::vector<int32_t>> texts) {
  size_t total = 0;
  for (const auto& ids : texts) total += ids.size();
  const size_t max_ids = truncation.max_ids;
  if (total <= max_ids) return OkStatus();
  if (max_ids == 0) {
    for (auto& ids : texts) ids.clear();
    return OkStatus();
  }
  const bool pair = texts.size() == 2;
  switch (truncation.strategy) {
    case TruncationStrategy::kLongestFirst:
      if (pair) {
        ShortenBoth(texts[0], texts[1], max_ids, side);
      } else {
        Shorten(texts[0], max_ids, side);
      }
      return OkStatus();
    case TruncationStrategy::kOnlyFirst:
      return ShortenOne(texts[0], total - max_ids, "first", side);
    case TruncationStrategy::kOnlySecond:
      break;
  }
  if (!pair) {
    return {
        StatusCode::kInvalidArgument,
        fmt::format("the text has {} ids, above the limit of {}, but only a second text may be cut "
                    "(only_second), and there is none",
                    total, max_ids)};
  }
  return ShortenOne(texts[1], total - max_ids, "second", side);
}

}  // namespace dray::tokenizer
