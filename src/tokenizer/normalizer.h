// The `normalizer` of tokenizer.json: what is done to the text before it is cut. A list of steps,
// each of which rewrites the whole text.
#pragma once

#include <memory>
#include <vector>

#include "base/status.h"
#include "tokenizer/json_node.h"
#include "tokenizer/piece.h"

namespace dray::tokenizer {

// One step. `max_bytes` limits the text that it may make.
class NormalizerStep {
 public:
  virtual ~NormalizerStep() = default;
  virtual Status Apply(OwnedPiece& piece, size_t max_bytes) const = 0;
};

class Normalizer {
 public:
  Normalizer() = default;  // changes nothing
  // kUnsupported for a step that dray does not know, by name.
  static Result<Normalizer> Load(const JsonNode& node);

  bool empty() const { return steps_.empty(); }
  // Rewrites `piece`. kResourceExhausted if the text grows beyond 64 times its size and 1 MiB.
  Status Apply(OwnedPiece& piece) const;

 private:
  std::vector<std::unique_ptr<const NormalizerStep>> steps_;
};

}  // namespace dray::tokenizer
