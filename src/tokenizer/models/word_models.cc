#include "tokenizer/models/word_models.h"

#include <fmt/format.h>

#include "tokenizer/text/utf8.h"

namespace dray::tokenizer {
namespace {

// See unigram.cc: the same index.
constexpr size_t kMaxIndexedBytes = 16 << 20;
constexpr size_t kMaxTokenBytes = 1024;

Status NoUnk(std::string_view unk_token) {
  return {StatusCode::kInvalidArgument,
          fmt::format("the text has a word that the vocabulary lacks, and so does the tokenizer's "
                      "unk_token \"{}\"",
                      unk_token)};
}

}  // namespace

WordPieceModel::WordPieceModel(Vocab vocab, WordPieceOptions options)
    : SubwordModel(std::move(vocab)), options_(std::move(options)) {}

Result<std::unique_ptr<WordPieceModel>> WordPieceModel::Create(Vocab vocab,
                                                               WordPieceOptions options) {
  std::unique_ptr<WordPieceModel> model(new WordPieceModel(std::move(vocab), std::move(options)));
  size_t indexed = 0;
  for (int32_t id = 0; id < model->vocab().id_end(); ++id) {
    const auto text = model->vocab().Text(id);
    if (!text) continue;
    if (text->size() > kMaxTokenBytes) {
      return Status(StatusCode::kResourceExhausted,
                    fmt::format("vocab: token {} has {} bytes, above the limit of {} for a token",
                                id, text->size(), kMaxTokenBytes));
    }
    indexed += text->size();
    if (indexed > kMaxIndexedBytes) {
      return Status(
          StatusCode::kResourceExhausted,
          fmt::format("vocab: the tokens have more than {} bytes in all", kMaxIndexedBytes));
    }
    model->trie_.Insert(*text, model->vocab().Find(*text).value_or(id));
  }
  model->continuation_ = model->trie_.Walk(Trie::kRoot, model->options_.continuing_subword_prefix);
  return model;
}

bool WordPieceModel::AppendTokens(std::string_view word, std::vector<int32_t>& ids) const {
  const size_t start = ids.size();
  for (size_t begin = 0; begin < word.size();) {
    Trie::Node node = begin == 0 ? Trie::kRoot : continuation_;
    int32_t longest = Trie::kNoValue;
    size_t longest_end = begin;
    for (size_t end = begin; node != Trie::kNone && end < word.size();) {
      node = trie_.Step(node, word[end++]);
      if (node == Trie::kNone || trie_.Value(node) == Trie::kNoValue) continue;
      longest = trie_.Value(node);
      longest_end = end;
    }
    if (longest == Trie::kNoValue) {
      ids.resize(start);
      return false;
    }
    ids.push_back(longest);
    begin = longest_end;
  }
  return true;
}

Status WordPieceModel::Encode(const std::vector<std::string_view>& pieces, WorkBudget& budget,
                              std::vector<int32_t>& ids) const {
  for (const std::string_view piece : pieces) {
    if (budget.IsCancelledAfter(piece.size())) return budget.SpentError(piece.size());
    const bool fits = CountChars(piece) <= options_.max_input_chars_per_word;
    if (fits && AppendTokens(piece, ids)) continue;
    const auto unk = vocab().Find(options_.unk_token);
    if (!unk) return NoUnk(options_.unk_token);
    ids.push_back(*unk);
  }
  return OkStatus();
}

WordLevelModel::WordLevelModel(Vocab vocab, std::string unk_token)
    : SubwordModel(std::move(vocab)), unk_token_(std::move(unk_token)) {}

Status WordLevelModel::Encode(const std::vector<std::string_view>& pieces, WorkBudget& budget,
                              std::vector<int32_t>& ids) const {
  for (const std::string_view piece : pieces) {
    if (budget.IsCancelledAfter(piece.size())) return budget.SpentError(piece.size());
    auto id = vocab().Find(piece);
    if (!id) id = vocab().Find(unk_token_);
    if (!id) return NoUnk(unk_token_);
    ids.push_back(*id);
  }
  return OkStatus();
}

}  // namespace dray::tokenizer
