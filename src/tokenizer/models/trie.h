// A set of texts in which all members that begin at a place can be found by walking: for unigram
// and WordPiece vocabularies and for added tokens.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "tokenizer/text/hash.h"

namespace dray::tokenizer {

class Trie {
 public:
  using Node = uint32_t;
  static constexpr Node kRoot = 0;
  static constexpr Node kNone = UINT32_MAX;
  static constexpr int32_t kNoValue = -1;

  Trie();

  // Adds `key` with `value` (not negative), in place of the value that it had.
  void Insert(std::string_view key, int32_t value);

  // The node one byte further, or kNone.
  Node Step(Node node, char byte) const;
  // The value of the key that ends at `node`, or kNoValue.
  int32_t Value(Node node) const { return values_[node]; }
  // The node of `prefix`, or kNone.
  Node Walk(Node node, std::string_view prefix) const;

 private:
  struct Edge {
    uint64_t key = kFree;
    Node child = kNone;
  };
  static constexpr uint64_t kFree = UINT64_MAX;
  size_t Slot(uint64_t key) const;
  void Grow();

  std::vector<int32_t> values_;  // one a node
  std::vector<Edge> edges_;      // by (parent, byte); a power of two, at most half full
  size_t num_edges_ = 0;
  uint64_t seed_ = HashSeed();
};

}  // namespace dray::tokenizer
