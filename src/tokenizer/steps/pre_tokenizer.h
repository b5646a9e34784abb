// The `pre_tokenizer` of tokenizer.json: how a text is cut before the model sees it. A list of
// steps; each turns a list of pieces into a longer one.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "tokenizer/json_node.h"
#include "tokenizer/models/piece.h"
#include "tokenizer/text/work_budget.h"

namespace dray::tokenizer {

// A text that is being cut, and the rewritten texts that its pieces point into.
struct Pieces {
  explicit Pieces(WorkBudget& spent) : budget(spent) {}

  std::vector<Piece> list;
  std::deque<std::string> storage;  // never moves a string
  WorkBudget& budget;
};

// One step: reads `in`, appends to `out`; texts that it makes go to `pieces.storage`. Empty pieces
// are dropped.
class PreTokenizerStep {
 public:
  virtual ~PreTokenizerStep() = default;
  virtual Status Apply(const std::vector<Piece>& in, std::vector<Piece>& out,
                       Pieces& pieces) const = 0;
  // Whether it may cut at all.
  virtual bool cuts() const { return true; }
};

class PreTokenizer {
 public:
  PreTokenizer() = default;  // leaves the text whole
  static Result<PreTokenizer> Load(const JsonNode& node);

  Status Apply(Pieces& pieces) const;
  // Whether any step may cut: if none does, the model gets texts of any length.
  bool cuts() const;

 private:
  std::vector<std::unique_ptr<const PreTokenizerStep>> steps_;
};

}  // namespace dray::tokenizer
