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
  // `blob` as SentencePiece's files hold it: a trie size in bytes (u32, little-endian), the trie, and
  // the replacements, each ended by a zero byte.
  static Result<Charsmap> FromBytes(std::string_view blob);
  // The same in base64, as tokenizer.json holds it.
  static Result<Charsmap> FromBase64(std::string_view base64);

  // The replacement of `text`. It is that of the shortest prefix of `text` that the map has, and
  // replaces all of `text`. This is odd, but the reference does it, and models were trained with
  // it.
  std::optional<std::string_view> Find(std::string_view text) const;

  // Replaces in `text` (valid UTF-8) every cluster below six bytes that the map has; of the other
  // clusters, every character that the map has. kResourceExhausted if the result exceeds
  // `max_bytes`. `origin` is a position in `text` (see Piece); it is moved to the same place in the
  // result.
  Result<std::string> Apply(std::string_view text, size_t max_bytes, size_t& origin) const;

 private:
  std::vector<uint32_t> trie_;
  std::string replacements_;
};

}  // namespace dray::tokenizer
