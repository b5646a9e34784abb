// The tokens of all continuations of a prompt, as a tree: continuations with the same beginning share
// its nodes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "sampling/token_result.h"

namespace dray::sampling {

class TokenTree {
 public:
  // The node of the prompt.
  static constexpr int32_t kRoot = -1;

  struct Token {
    TokenLogprob token;
    std::span<const TokenLogprob> tops;  // points into the tree
  };

  void Reserve(size_t num_nodes) { nodes_.reserve(num_nodes); }
  // Returns the node of the continuation that ends with `token`. `tops` are only reported.
  int32_t Add(int32_t parent, TokenLogprob token, const std::vector<TokenLogprob>& tops) {
    nodes_.push_back({.parent = parent, .token = token, .tops = tops});
    return static_cast<int32_t>(nodes_.size()) - 1;
  }
  // The tokens from the prompt's end to `node`. Valid until the next Add.
  std::vector<Token> PathTo(int32_t node) const;

 private:
  struct Node {
    int32_t parent = kRoot;
    TokenLogprob token;
    std::vector<TokenLogprob> tops;
  };

  std::vector<Node> nodes_;
};

}  // namespace dray::sampling
