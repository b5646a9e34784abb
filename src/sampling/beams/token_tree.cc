#include "sampling/beams/token_tree.h"

#include <algorithm>

namespace dray::sampling {

std::vector<TokenTree::Token> TokenTree::PathTo(int32_t node) const {
  std::vector<Token> path;
  while (node != kRoot) {
    const Node& last = nodes_[static_cast<size_t>(node)];
    path.push_back({.token = last.token, .tops = last.tops});
    node = last.parent;
  }
  std::reverse(path.begin(), path.end());
  return path;
}

}  // namespace dray::sampling
