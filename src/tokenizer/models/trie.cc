#include "tokenizer/models/trie.h"

namespace dray::tokenizer {
namespace {

uint64_t EdgeKey(Trie::Node node, char byte) {
  return (uint64_t{node} << 8) | static_cast<uint8_t>(byte);
}

}  // namespace

Trie::Trie() : values_(1, kNoValue), edges_(16) {}

size_t Trie::Slot(uint64_t key) const {
  const size_t mask = edges_.size() - 1;
  size_t slot = HashKey(key, seed_) & mask;
  while (edges_[slot].key != kFree && edges_[slot].key != key) slot = (slot + 1) & mask;
  return slot;
}

void Trie::Grow() {
  std::vector<Edge> old(edges_.size() * 2);
  old.swap(edges_);
  for (const Edge& edge : old) {
    if (edge.key != kFree) edges_[Slot(edge.key)] = edge;
  }
}

void Trie::Insert(std::string_view key, int32_t value) {
  Node node = kRoot;
  for (const char byte : key) {
    if (2 * (num_edges_ + 1) > edges_.size()) Grow();
    const uint64_t edge_key = EdgeKey(node, byte);
    Edge& edge = edges_[Slot(edge_key)];
    if (edge.key == kFree) {
      edge = {edge_key, static_cast<Node>(values_.size())};
      values_.push_back(kNoValue);
      ++num_edges_;
    }
    node = edge.child;
  }
  values_[node] = value;
}

Trie::Node Trie::Step(Node node, char byte) const {
  return edges_[Slot(EdgeKey(node, byte))].child;
}

Trie::Node Trie::Walk(Node node, std::string_view prefix) const {
  for (const char byte : prefix) {
    node = Step(node, byte);
    if (node == kNone) break;
  }
  return node;
}

}  // namespace dray::tokenizer
