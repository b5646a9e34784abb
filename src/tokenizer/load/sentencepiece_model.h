// Reads spiece.model, SentencePiece's file. dray runs it as Hugging Face's tokenizers do, whose ids models are
// served with, so that the file is read here rather than by SentencePiece's own library: the two normalize
// text in different ways.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace dray::tokenizer {

struct SentencePiece {
  // The numbers of the file.
  enum class Type : uint8_t {
    kNormal = 1,
    kUnknown = 2,
    kControl = 3,
    kUserDefined = 4,
    kUnused = 5,
    kByte = 6,
  };

  std::string_view text;
  float score = 0;
  Type type = Type::kNormal;
};

// Views point into the file's bytes.
struct SentencePieceModel {
  std::vector<SentencePiece> pieces;  // [id]
  int32_t unk_id = 0;
  std::string_view charsmap;  // the precompiled map of characters; empty: none
};

// kCorrupt or kInvalidArgument for what is not such a file, naming the piece or the field; kUnsupported for
// models other than Unigram.
Result<SentencePieceModel> ParseSentencePieceModel(std::string_view bytes);

}  // namespace dray::tokenizer
