// A piece of text on its way from the request to the model's vocabulary.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

namespace dray::tokenizer {

// `text` points to memory of another owner. The two other members answer a question of the
// Metaspace rule "first": does the piece begin where the original text began? `origin` is the
// number of bytes at the front of `text` that come from the original's first character (inserted
// prefixes count as a part of it).
struct Piece {
  std::string_view text;
  size_t origin = 0;
  bool at_start = false;

  // The part [begin, end) in bytes.
  Piece Slice(size_t begin, size_t end) const {
    const bool starts = at_start && begin < origin;
    return {text.substr(begin, end - begin), starts ? std::min(origin - begin, end - begin) : 0,
            starts};
  }
};

// The same with text of its own, for what rewrites it.
struct OwnedPiece {
  std::string text;
  size_t origin = 0;
  bool at_start = false;

  Piece View() const { return {text, origin, at_start}; }
};

}  // namespace dray::tokenizer
