// A tokenizer from the metadata of a GGUF file: byte-level BPE ("gpt2"), SentencePiece's merging
// by score ("llama"), and those of gguf_encoders.h.
#pragma once

#include "base/parse/json.h"
#include "base/status.h"
#include "tokenizer/tokenizer_parts.h"

namespace dray::tokenizer {

// `metadata` is the object of the file's keys: "tokenizer.ggml.model" and so on. Errors name the
// key; kinds of tokenizers and word rules that dray does not know are kUnsupported.
Result<TokenizerParts> LoadGgufParts(const Json& metadata);

}  // namespace dray::tokenizer
