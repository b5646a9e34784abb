// The `normalizer` of tokenizer.json: what is done to the text before it is cut. A list of steps,
// each of which rewrites the whole text.
#pragma once

#include <memory>
#include <vector>

#include "base/status.h"
#include "tokenizer/json_node.h"
#include "tokenizer/models/piece.h"
#include "tokenizer/steps/charsmap.h"
#include "tokenizer/text/work_budget.h"

namespace dray::tokenizer {

// What a step may make and spend.
struct NormalizerLimits {
  size_t max_bytes;  // of the text that it makes
  WorkBudget& budget;
};

// One step.
class NormalizerStep {
 public:
  virtual ~NormalizerStep() = default;
  virtual Status Apply(OwnedPiece& piece, NormalizerLimits& limits) const = 0;
};

class Normalizer {
 public:
  Normalizer() = default;  // changes nothing
  // kUnsupported for a step that dray does not know, by name.
  static Result<Normalizer> Load(const JsonNode& node);
  // Replaces characters as the map says, and does nothing else.
  static Normalizer FromCharsmap(Charsmap map);

  bool empty() const { return steps_.empty(); }
  // Rewrites `piece`. kResourceExhausted if the text grows beyond 64 times its size and 1 MiB.
  Status Apply(OwnedPiece& piece, WorkBudget& budget) const;

 private:
  std::vector<std::unique_ptr<const NormalizerStep>> steps_;
};

}  // namespace dray::tokenizer
