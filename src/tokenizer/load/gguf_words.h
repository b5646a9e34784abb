// How GGUF files name the rule that cuts text into words before byte-pair encoding
// (tokenizer.ggml.pre), and what each name stands for.
#pragma once

#include <string>
#include <string_view>

#include "base/parse/json.h"

namespace dray::tokenizer {

struct WordRule {
  // Words by this pattern; empty: by that of GPT-2, which byte-level tokenizers have built in.
  std::string_view pattern;
  bool single_digits = false;  // before that, each digit becomes a word
  bool nfc = false;            // the text is brought into normalization form C first
  bool ignore_merges = false;  // a word that is a token stays whole
  bool add_bos = false;        // unless the file says otherwise
};

// Null if dray does not know the name. "default", and files without a name, mean GPT-2's rule.
const WordRule* FindWordRule(std::string_view name);
// All names that FindWordRule knows, for a message.
std::string KnownWordRules();

// The pre-tokenizer of a tokenizer.json with that rule.
Json WordRuleNode(const WordRule& rule);

}  // namespace dray::tokenizer
