// The steps that a decoder is made of; decoder.cc reads them from the file.
#pragma once

#include <memory>
#include <string>

#include "tokenizer/steps/token_decoder.h"
#include "tokenizer/text/text_pattern.h"

namespace dray::tokenizer {

using DecoderStepPtr = std::unique_ptr<const DecoderStep>;

// Byte-level characters to bytes, and those, joined, to text.
DecoderStepPtr NewByteLevelDecoder();
// Runs of <0xNN> tokens to text; bytes that are no UTF-8 become one U+FFFD a token (see Flow).
DecoderStepPtr NewByteFallbackDecoder();
// All tokens joined to one.
DecoderStepPtr NewFuseDecoder();
// Takes up to `start` and `stop` characters `content` from a token's two ends.
DecoderStepPtr NewStripDecoder(char32_t content, size_t start, size_t stop);
DecoderStepPtr NewReplaceDecoder(TextPattern pattern, std::string content);
// `replacement` to a blank, or to nothing in the first token if `drop_first`.
enum class FirstSpace { kDrop, kKeep };
DecoderStepPtr NewMetaspaceDecoder(char32_t replacement, FirstSpace first);
// A blank before each token that lacks `prefix`; `cleanup` removes blanks before punctuation.
enum class Cleanup { kYes, kNo };
DecoderStepPtr NewWordPieceDecoder(std::string prefix, Cleanup cleanup);
// `suffix` to a blank, or to nothing in the last token.
DecoderStepPtr NewBpeDecoder(std::string suffix);
struct CtcOptions {
  std::string pad_token;
  std::string word_delimiter_token;
  Cleanup cleanup = Cleanup::kYes;
};
// Repeated tokens once, without padding.
DecoderStepPtr NewCtcDecoder(CtcOptions options);
// Tokens with blanks between them.
DecoderStepPtr NewJoinDecoder();

}  // namespace dray::tokenizer
