// The tokenizer classes of transformers for encoders and encoder-decoders: BERT's, MPNet's, RoBERTa's and T5's.
// Each builds the steps around its model from tokenizer_config.json alone, whatever tokenizer.json says about
// them, so that the same rules serve for tokenizer.json and for the older files of a vocabulary.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/parse/json.h"
#include "base/status.h"
#include "tokenizer/load/model_dir.h"
#include "tokenizer/tokenizer_parts.h"

namespace dray::tokenizer {

// What a class reads where there is no tokenizer.json.
enum class VocabFormat {
  kVocabTxt,          // vocab.txt, one token of WordPiece a line
  kVocabAndMerges,    // vocab.json and merges.txt, byte-level BPE
  kSentencePieceFile  // spiece.model, a Unigram model
};

// A special token of a class where the files name none.
struct DefaultToken {
  std::string_view name;  // of kTokenNames
  std::string_view text;
};

struct EncoderClass {
  // The ids that stand around a text and around a pair.
  enum class Ends { kBert, kRoberta, kT5 };

  std::string_view name;
  VocabFormat format;
  std::string_view model;  // the `type` of the model in a tokenizer.json that the class is made for
  std::span<const DefaultToken> tokens;
  Ends ends;
  bool spaced_mask = false;  // the mask token takes the white space before it along
};

// The class of that name, or null: names of classes that only pass on to another count too.
const EncoderClass* FindEncoderClass(std::string_view name);

// Their names, for messages.
std::string KnownEncoderClasses();

// Gives the class's special tokens to the roles that the files leave open.
void AddClassTokens(const EncoderClass& encoder, TokenizerConfig& config);

// Sets `normalizer`, `pre_tokenizer` and `decoder` of a tokenizer.json as the class builds them. A precompiled
// character map of the file stays if the class is T5's.
void SetClassSteps(const EncoderClass& encoder, const TokenizerConfig& config,
                   Json& tokenizer_json);

// The class's template, once the tokens are added.
Result<PostProcessor> MakeClassEnds(const EncoderClass& encoder, const TokenizerConfig& config,
                                    const TokenizerParts& parts);

// Makes `pieces`, the special tokens of T5's file, and the sentinels special tokens, unless the files beside
// it list such tokens. In the vocabulary they are in either case.
void AddSentinels(std::vector<AddedToken> pieces, TokenizerConfig& config);

// How many sentinels <extra_id_N> T5's class adds behind the vocabulary of its file, and the text of one.
int64_t NumExtraIds(const TokenizerConfig& config);
std::string SentinelText(int64_t number);

// T5's steps after the character map, which other files of the same kind have too.
Json T5PreTokenizer();
Json T5Decoder();
// BERT's normalizer; `strip_accents` absent: as `lowercase`.
struct BertCase {
  bool lowercase = true;
  std::optional<bool> strip_accents = {};
  bool chinese_chars = true;
};
Json BertNormalizerNode(const BertCase& options);
Json BertPreTokenizer();
Json WordPieceDecoder();

}  // namespace dray::tokenizer
