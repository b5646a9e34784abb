// transformers' tokenizer classes do not run tokenizer.json as it stands: some build the steps
// around the model anew, from tokenizer_config.json. To give the ids that AutoTokenizer gives, dray
// makes the same changes to the file's contents before it reads them. Separate because it is the
// one place that knows class names.
#pragma once

#include "base/parse/json.h"
#include "tokenizer/load/model_dir.h"

namespace dray::tokenizer {

// Changes `tokenizer_json` as the class does that AutoTokenizer picks for this folder, and only
// where the file holds what that class was made for; anything else stays as it is.
//   GPT2Tokenizer, GPTNeoXTokenizer: add_prefix_space is tokenizer_config.json's.
//   LlamaTokenizer: blanks become U+2581 by a Metaspace rule, with one in front as `legacy` and
//   add_prefix_space say.
void ApplyTokenizerClass(const TokenizerConfig& config, Json& tokenizer_json);

// Pieces of a SentencePiece model to text. `first`: whether one blank at the beginning is dropped.
enum class FirstBlank { kKeep, kStrip };
Json LlamaDecoder(FirstBlank first);

}  // namespace dray::tokenizer
