// Tokens that stand beside the model's vocabulary (special tokens and others): found in the text
// before the model sees it, some in the text as given and some in the normalized text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "tokenizer/models/trie.h"
#include "tokenizer/models/vocab.h"
#include "tokenizer/steps/normalizer.h"

namespace dray::tokenizer {

struct AddedToken {
  std::string content;
  bool single_word = false;  // only where no word character touches it
  bool lstrip = false;       // takes the white space before it along
  bool rstrip = false;       // takes the white space after it along
  bool normalized = true;    // looked for in the normalized text, in its own normalized form
  bool special = false;      // left out of decoded text on demand
};

// A token that is looked for in the text as it is, and left out of decoded text.
inline AddedToken SpecialToken(std::string_view content) {
  AddedToken token;
  token.content = content;
  token.normalized = false;
  token.special = true;
  return token;
}

// A part of a text: an added token, or text between them.
struct AddedSplit {
  size_t begin = 0;
  size_t end = 0;
  std::optional<int32_t> id;
};

class AddedTokens {
 public:
  // Of a token's text, as it is and once normalized: the search walks at most this far
  // from each place.
  static constexpr size_t kMaxContentBytes = 1024;

  // Adds tokens as the reference does: a text that the model or an earlier token has keeps
  // its id and gets the new properties, others get the next free id. Ids that the file
  // declares do not count.
  Status Add(std::vector<AddedToken> tokens, const Vocab& vocab, const Normalizer& normalizer);
  // Call once, after the last Add and before everything below.
  void Finish();

  enum class Stage { kRaw, kNormalized };
  // Cuts `text` at the tokens of a stage: of those that begin leftmost the longest.
  void Split(Stage stage, std::string_view text, std::vector<AddedSplit>& out) const;
  bool empty(Stage stage) const { return stage == Stage::kRaw ? raw_.empty : normalized_.empty; }

  // The id of the token with this content. Also works between calls of Add.
  std::optional<int32_t> Find(std::string_view content) const;
  // The content that decoding starts from: the normalized form if the token has one.
  const std::string* Text(int32_t id) const;
  // Whether decoding drops the token on demand.
  bool IsSpecial(int32_t id) const;
  // One past the largest id, or 0.
  int32_t id_end() const { return id_end_; }

 private:
  struct Entry {
    int32_t id = 0;
    AddedToken token;
    std::string decoded;   // `content`, normalized if the token is
    bool skipped = false;  // on demand, when decoding
  };
  struct Matcher {
    Trie trie;  // to places in entries_
    bool starts[256] = {};
    bool empty = true;
  };
  struct Found {
    size_t end = 0;
    int32_t entry = Trie::kNoValue;
  };

  Status AddOne(AddedToken token, std::string decoded, const Vocab& vocab, int32_t& next_id);
  const Entry* ById(int32_t id) const;
  static Found FindAt(const Matcher& matcher, std::string_view text, size_t pos);

  std::vector<Entry> entries_;
  Vocab by_content_;            // content to place in entries_
  std::vector<int32_t> by_id_;  // places in entries_, sorted by id, one an id
  Matcher raw_;
  Matcher normalized_;
  Vocab special_;  // contents of special tokens
  int32_t id_end_ = 0;
};

}  // namespace dray::tokenizer
