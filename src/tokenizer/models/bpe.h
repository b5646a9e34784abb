// Byte-pair encoding: characters to ids, then neighbouring ids joined by the model's merges in
// their order.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer/models/merge_table.h"
#include "tokenizer/models/subword_model.h"
#include "tokenizer/models/word_cache.h"

namespace dray::tokenizer {

struct BpeOptions {
  std::optional<std::string> unk_token;   // for characters that are not in the vocabulary
  std::string continuing_subword_prefix;  // before every character of a piece but the first
  std::string end_of_word_suffix;         // after the last character of a piece
  bool fuse_unk = false;                  // neighbouring unknown characters are one unk_token
  bool byte_fallback = false;  // unknown characters become <0xNN> tokens if there are such
  bool ignore_merges = false;  // a piece that is a token needs no merges
  bool long_pieces = false;    // pieces may be whole texts: worth cutting (see BpeModel)
};

class BpeModel : public SubwordModel {
 public:
  // One line of the merges: two tokens that become one. Views must only live during Create.
  using MergePair = std::pair<std::string_view, std::string_view>;

  // kCorrupt if a merge names a token that is not in the vocabulary. Rank is the place in `merges`.
  static Result<std::unique_ptr<BpeModel>> Create(Vocab vocab, const std::vector<MergePair>& merges,
                                                  BpeOptions options);

  Status Encode(const std::vector<std::string_view>& pieces, WorkBudget& budget,
                std::vector<int32_t>& ids) const override;

 private:
  BpeModel(Vocab vocab, BpeOptions options);

  Status AddMerges(const std::vector<MergePair>& merges);
  void AddJunctions(const std::vector<MergePair>& merges);
  void FindShortChars();

  // The id of the token that is just this character, or nothing.
  std::optional<int32_t> CharId(std::string_view character, char32_t code) const;
  // What the words of one call share.
  struct Shared {
    WorkBudget& budget;
    WordCache cache;
    std::vector<int32_t> scratch;  // for reuse
  };
  // Appends the ids of `word`, merged.
  Status EncodeWord(std::string_view word, Shared& shared, std::vector<int32_t>& ids) const;
  Status EncodeLongPiece(std::string_view piece, Shared& shared, std::vector<int32_t>& ids) const;
  // The ids of the single characters of `word`.
  Status SplitChars(std::string_view word, std::vector<int32_t>& symbols) const;
  // Appends the byte tokens of `text`; false if one is missing.
  bool AppendByteTokens(std::string_view text, std::vector<int32_t>& symbols) const;
  // Whether no merge can ever join what ends with the first character to what begins
  // with the second.
  bool CanCut(std::string_view text, size_t left, size_t right) const;

  BpeOptions options_;
  MergeTable merges_;
  FlatTable<bool> junctions_;  // the (last, first) characters of all merges' two sides
  bool can_cut_ = false;
  std::array<int32_t, 0x800> short_chars_;  // ids of the characters of one and two bytes, or -1
  std::array<int32_t, 256> byte_tokens_;    // ids of <0x00>..<0xFF>, or -1
};

}  // namespace dray::tokenizer
