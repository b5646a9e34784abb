// What a model reads of a text or of a pair of texts, and how texts that are too long are cut.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"

namespace dray::tokenizer {

struct Encoding {
  std::vector<int32_t> ids;
  // [i]: the type of ids[i], as the tokenizer's template says. BERT gives 0 to the first text and 1
  // to the second. As long as `ids`.
  std::vector<int32_t> type_ids;
};

// Which text of a pair loses ids. Of a single text, only_second is an error.
enum class TruncationStrategy { kLongestFirst, kOnlyFirst, kOnlySecond };
// The end of a text at which ids go.
enum class TruncationSide { kRight, kLeft };

struct Truncation {
  size_t max_ids = 0;  // with special tokens
  TruncationStrategy strategy = TruncationStrategy::kLongestFirst;
};

// Cuts `texts` (one or two, without special tokens) to at most `max_ids` ids in all. kInvalidArgument if
// the text that the strategy names has too few ids to lose.
Status Truncate(const Truncation& truncation, TruncationSide side,
                std::span<std::vector<int32_t>> texts);

}  // namespace dray::tokenizer
