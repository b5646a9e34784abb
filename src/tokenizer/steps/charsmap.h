// SentencePiece's precompiled character map: a double-array trie from sequences of characters to
// their replacements, inside one opaque blob. Untrusted: every step through the trie is checked.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace dray::tokenizer {

class Charsmap {
 public:
  // `base64` as tokenizer.json holds it: a trie size in bytes (u32, little-endian), the trie, and
  // the replacements, each ended by a zero byte.
  static Result<Charsmap> Load(std::string_view base64);

  // What stands for `text`: the replacement of the shortest prefix of it that the map knows, in
  // place of all of `text`. Odd, but what the reference does, and models were trained with it.
  std::optional<std::string_view> Find(std::string_view text) const;

  // `text` (valid UTF-8) with every cluster below six bytes, or else every character, replaced that
  // the map knows. kResourceExhausted if the result exceeds `max_bytes`. `origin` is a position in
  // `text` (see Piece) and is moved to the same place in the result.
  Result<std::string> Apply(std::string_view text, size_t max_bytes, size_t& origin) const;

 private:
  std::vector<uint32_t> trie_;
  std::string replacements_;
};

}  // namespace dray::tokenizer
