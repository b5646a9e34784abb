// The tokenizers of encoders and encoder-decoders in a GGUF file: SentencePiece's Unigram model ("t5") and WordPiece
// ("bert").
#pragma once

#include "base/status.h"
#include "tokenizer/load/gguf/gguf_vocab.h"
#include "tokenizer/tokenizer_parts.h"

namespace dray::tokenizer {

// Converters write T5's pieces without the sentinels <extra_id_N>: their ids, the first behind the pieces, are
// fillers. They get their texts back.
Status ReadGgufT5(const GgufVocab& file, TokenizerParts& parts);

// Tokens that begin a word have U+2581 in front, and those that continue one stand without their "##". Text is
// brought to lower case as `normalizer.lowercase` says, and in files without that key unless a token has a
// capital letter.
Status ReadGgufBert(const GgufVocab& file, TokenizerParts& parts);

}  // namespace dray::tokenizer
