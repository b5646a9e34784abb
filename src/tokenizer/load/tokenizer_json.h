// Reads the parts of a tokenizer from the text of a tokenizer.json.
#pragma once

#include "base/parse/json.h"
#include "base/status.h"
#include "tokenizer/json_node.h"
#include "tokenizer/tokenizer_parts.h"

namespace dray::tokenizer {

// `root` is the whole file. Of the file's fields, `truncation` and `padding` do not count: they are
// for training batches.
Result<TokenizerParts> LoadParts(const JsonNode& root);

// Reads the members of `root` that need no vocabulary, where they are there: normalizer, pre_tokenizer and
// decoder.
Status LoadSteps(const JsonNode& root, TokenizerParts& parts);

// Refuses the text of an added token, at `node`, that is longer than AddedTokens allows.
Status CheckAddedTokenSize(const JsonNode& node, std::string_view content);

// An entry of `added_tokens`, or a special token as other files write it.
Result<AddedToken> LoadAddedToken(const JsonNode& node);

}  // namespace dray::tokenizer
