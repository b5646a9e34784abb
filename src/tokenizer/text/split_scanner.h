// Hand-written scanners for the cut patterns that nearly every byte-level model uses. They do what
// the regular expression does (a test compares them) in one pass without back-tracking, several
// times faster.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

namespace dray::tokenizer {

enum class SplitPattern {
  kGpt2,    // GPT-2, OPT, GPT-J, GPT-NeoX: contractions, " word", " 123", " ?!"
  kLlama3,  // Llama 3 and cl100k: contractions in any case, digits in threes, line ends
  kQwen2,   // the same with single digits
};

// The pattern's text in tokenizer.json.
std::string_view PatternText(SplitPattern pattern);
// The scanner that does what `regex` does, if there is one.
std::optional<SplitPattern> FindScanner(std::string_view regex);

// Cuts `text` (valid UTF-8) as the pattern does and appends each part's end, in bytes. The parts
// cover the text: each of these patterns matches everywhere.
void ScanSplits(SplitPattern pattern, std::string_view text, std::vector<size_t>& ends);

}  // namespace dray::tokenizer
