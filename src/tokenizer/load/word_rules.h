// The rules that cut text into words before byte-pair encoding, by the names that GGUF files give
// them (tokenizer.ggml.pre).
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/parse/json.h"

namespace dray::tokenizer {

// One of the steps that cut text into words, each of which cuts what the one before has left.
struct WordCut {
  enum class Kind {
    kPattern,      // the matches of `pattern`, and what stands between them
    kDigits,       // each digit by itself
    kDigitRuns,    // runs of digits
    kPunctuation,  // runs of punctuation
    kGpt2,         // GPT-2's words, which byte-level tokenizers have built in
  };
  Kind kind = Kind::kPattern;
  std::string_view pattern = {};
};

struct WordRule {
  std::span<const WordCut> cuts;
  bool nfc = false;            // the text is brought into normalization form C first
  bool ignore_merges = false;  // a word that is a token stays whole
  bool add_bos = false;        // unless the file says otherwise
};

// GPT-2's rule, which "default" and files without a name stand for.
const WordRule& Gpt2WordRule();
// Null if dray does not know the name.
const WordRule* FindWordRule(std::string_view name);
// All names that FindWordRule knows, for a message.
std::string KnownWordRules();

// The pre-tokenizer of a tokenizer.json with that rule, and whether it puts a blank before words
// that have none.
enum class PrefixSpace { kNone, kAdd };
Json WordRuleNode(const WordRule& rule, PrefixSpace prefix = PrefixSpace::kNone);

}  // namespace dray::tokenizer
