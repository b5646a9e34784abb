// What a tokenizer is made of, between the loaders that read it from files and the Tokenizer that
// runs it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tokenizer/encoding.h"
#include "tokenizer/models/subword_model.h"
#include "tokenizer/steps/added_tokens.h"
#include "tokenizer/steps/normalizer.h"
#include "tokenizer/steps/post_processor.h"
#include "tokenizer/steps/pre_tokenizer.h"
#include "tokenizer/steps/token_decoder.h"
#include "tokenizer/tokenizer.h"

namespace dray::tokenizer {

struct TokenizerParts {
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  std::unique_ptr<const SubwordModel> model;
  PostProcessor post_processor;
  TokenDecoder decoder;
  AddedTokens added_tokens;
  TruncationSide truncation_side = TruncationSide::kRight;
  std::optional<int32_t> bos_id;
  std::optional<int32_t> eos_id;
};

// The id of a token's text, among added tokens and then the vocabulary.
std::optional<int32_t> FindToken(const TokenizerParts& parts, std::string_view token);

// Checks that the parts fit together.
Result<std::unique_ptr<Tokenizer>> BuildTokenizer(TokenizerParts parts);

}  // namespace dray::tokenizer
