// Some tokenizer classes of transformers do not run tokenizer.json as it is: they rebuild the steps
// around the model from tokenizer_config.json. To give the ids that AutoTokenizer gives, dray makes
// the same changes to the file's contents before it reads them. Only this file and encoder_class.h know
// names of classes.
#pragma once

#include <string_view>

#include "base/parse/json.h"
#include "base/status.h"
#include "tokenizer/load/encoder_class.h"
#include "tokenizer/load/model_dir.h"

namespace dray::tokenizer {

// Changes `tokenizer_json` as the class does that AutoTokenizer picks for this folder, and only
// where the file holds what that class was made for; anything else stays as it is.
//   GPT2Tokenizer, GPTNeoXTokenizer: add_prefix_space is tokenizer_config.json's.
//   LlamaTokenizer: blanks become U+2581 by a Metaspace rule, with one in front as `legacy` and
//   add_prefix_space say.
//   the classes of encoder_class.h: all steps around the model; the function returns the class, whose
//   template is to be made once the tokens are known.
const EncoderClass* ApplyTokenizerClass(const TokenizerConfig& config, Json& tokenizer_json);

// The encoder's class that AutoTokenizer picks for a folder without tokenizer.json, or null.
const EncoderClass* FindVocabEncoderClass(const TokenizerConfig& config);

// What a class makes of vocab.json and merges.txt, which say nothing about how text is cut.
struct VocabFilesRule {
  std::string_view name;       // of the class
  std::string_view words;      // a name of FindWordRule
  bool nfc = false;            // the text is brought into normalization form C first
  bool default_bos = false;    // kEndOfText begins a sequence where the files name no token
  std::string_view pad_token;  // where the files name none; empty: none
};
inline constexpr std::string_view kEndOfText = "<|endoftext|>";

// The rule of the class that AutoTokenizer picks for this folder, or null for those that read the same two
// files in another way, or that dray does not know.
const VocabFilesRule* FindVocabFilesRule(const TokenizerConfig& config);

// kUnsupported, naming the class or the model type: dray does not know how its files are used.
Status UnknownClass(const TokenizerConfig& config);

// Pieces of a SentencePiece model to text. `first`: whether one blank at the beginning is dropped.
enum class FirstBlank { kKeep, kStrip };
Json LlamaDecoder(FirstBlank first);

}  // namespace dray::tokenizer
