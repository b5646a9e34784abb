// The files of a vocabulary that tokenizers had before tokenizer.json. Each function reads one file's text; its
// errors name the line or the piece, and the caller puts the file's name in front.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "tokenizer/models/subword_model.h"
#include "tokenizer/tokenizer_parts.h"

namespace dray::tokenizer {

// The lines of a file, without their ends.
std::vector<std::string_view> Lines(std::string_view text);

// The WordPiece model of vocab.txt: the token of line n has the id n, from 0, without the white space at the
// line's end. Of equal lines the last counts.
Result<std::unique_ptr<const SubwordModel>> ParseVocabTxt(std::string_view text,
                                                          const std::string& unk_token);

// Adds to `parts` what spiece.model has: the model with `num_sentinels` tokens <extra_id_N> behind the pieces,
// of which the last one has the number 0, and the normalizer.
struct SentencePieceParts {
  std::unique_ptr<const SubwordModel> model;
  Normalizer normalizer;
  // Control and user-defined pieces, by id.
  std::vector<AddedToken> added_tokens;
};
Result<SentencePieceParts> ParseSpieceModel(std::string_view bytes, int64_t num_sentinels);

}  // namespace dray::tokenizer
