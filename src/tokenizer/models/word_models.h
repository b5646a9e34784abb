// The two models that look words up: WordPiece (BERT), which cuts a word into the longest tokens
// from the left, and WordLevel, which knows whole words only.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/models/subword_model.h"
#include "tokenizer/models/trie.h"

namespace dray::tokenizer {

struct WordPieceOptions {
  std::string unk_token;
  std::string continuing_subword_prefix;
  size_t max_input_chars_per_word = 100;  // a longer word is unknown
};

class WordPieceModel : public SubwordModel {
 public:
  static Result<std::unique_ptr<WordPieceModel>> Create(Vocab vocab, WordPieceOptions options);

  Status Encode(const std::vector<std::string_view>& pieces, WorkBudget& budget,
                std::vector<int32_t>& ids) const override;

 private:
  WordPieceModel(Vocab vocab, WordPieceOptions options);
  // Appends the ids of `word`; false, and nothing appended, if it cannot be cut into tokens.
  bool AppendTokens(std::string_view word, std::vector<int32_t>& ids) const;

  WordPieceOptions options_;
  Trie trie_;
  Trie::Node continuation_ = Trie::kRoot;  // where tokens that continue a word begin, or kNone
};

class WordLevelModel : public SubwordModel {
 public:
  WordLevelModel(Vocab vocab, std::string unk_token);
  Status Encode(const std::vector<std::string_view>& pieces, WorkBudget& budget,
                std::vector<int32_t>& ids) const override;

 private:
  std::string unk_token_;
};

}  // namespace dray::tokenizer
